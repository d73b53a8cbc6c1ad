/** The formats that thumbnails are made of, by their media types. */
export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp'

/** How many bytes from its start tell what an image is. */
export const imageHeadBytes = 16

/**
 * What an image is by its first bytes, whatever it was said to be; `null` for anything but the four formats that may be given
 * to a decoder.
 */
export function imageFormatOf(head: Uint8Array): ImageFormat | null {
  const text = Buffer.from(head.subarray(0, imageHeadBytes)).toString('latin1')
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg'
  if (text.startsWith('\x89PNG\r\n\x1a\n') && text.slice(12, 16) === 'IHDR') return 'png'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif'
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP' && text.slice(12, 15) === 'VP8') return 'webp'
  return null
}
