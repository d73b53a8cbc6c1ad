import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'

/** A picture of a plain colour with a small mark, so that it is no single block. */
export async function picture(
  width: number,
  height: number,
  format: 'jpeg' | 'png' | 'gif' | 'webp' | 'tiff' | 'avif',
): Promise<Buffer> {
  const mark = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#fff' } })
    .png()
    .toBuffer()
  return sharp({ create: { width, height, channels: 3, background: '#c04020' } })
    .composite([{ input: mark, left: 0, top: 0 }])
    .removeAlpha()
    .toFormat(format)
    .toBuffer()
}

/** A picture with a transparent background. */
export function transparentPicture(width: number, height: number): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0.3 } } })
    .png()
    .toBuffer()
}

/** An animation of so many frames. */
export async function animation(width: number, height: number, frames: number): Promise<Buffer> {
  const pages = await Promise.all(
    Array.from({ length: frames }, (_, index) =>
      sharp({ create: { width, height, channels: 3, background: { r: index * 40, g: 0, b: 200 } } })
        .png()
        .toBuffer(),
    ),
  )
  return sharp(pages, { join: { animated: true } })
    .gif()
    .toBuffer()
}

/** A JPEG that says where it was taken and by which camera, lying on its side. */
export async function taggedPicture(width: number, height: number): Promise<Buffer> {
  return sharp(await picture(width, height, 'jpeg'))
    .withExif({ IFD0: { Make: 'SecretCamera' }, IFD3: { GPSLatitude: '52/1 31/1 0/1', GPSLatitudeRef: 'N' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
}

/** True if an Exif block points to a GPS directory: by its tag, in either order of bytes. */
export function namesPlace(exif: Buffer | undefined): boolean {
  return ['8825', '2588'].some(tag => exif?.includes(Buffer.from(tag, 'hex')) === true)
}

/** A PNG that says that it has so many pixels, and has hardly any. */
export function hugePicture(width: number, height: number): Buffer {
  const size = Buffer.alloc(13)
  size.writeUInt32BE(width, 0)
  size.writeUInt32BE(height, 4)
  size.set([8, 2, 0, 0, 0], 8)
  const chunks = [chunk('IHDR', size), chunk('IDAT', deflateSync(Buffer.alloc(64))), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...chunks])
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name), data])
  const around = Buffer.alloc(8)
  around.writeUInt32BE(data.length, 0)
  around.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([around.subarray(0, 4), body, around.subarray(4)])
}
