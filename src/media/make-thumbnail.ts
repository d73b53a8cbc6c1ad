import type SharpFactory from 'sharp'
import { type Sharp, type SharpOptions } from 'sharp'
import { type ThumbnailExit } from './thumbnail-exits.ts'

/** Pixels of an image that are decoded at most, all frames together. */
export const pixelLimit = 32_000_000
const decodeTimeoutSeconds = 15
const jpegQuality = 80

export interface ThumbnailOrder {
  /** What the image's first bytes say that it is. */
  readonly format: string
  /** 0 × 0: the size of the original. */
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
  /** An animation may be answered with an animation. */
  readonly isAnimated: boolean
}

/** The image library, with all decoders but four switched off; `null` where it is not installed. */
async function loadLibrary(): Promise<typeof SharpFactory | null> {
  let sharp: typeof SharpFactory
  try {
    sharp = (await import('sharp')).default
  } catch {
    // It is optional: its binaries do not exist for every platform.
    return null
  }
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: [
      'VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadNsgifBuffer', 'VipsForeignLoadWebpBuffer',
    ],
  }) // prettier-ignore
  return sharp
}

/**
 * Makes a thumbnail: never larger than the image, turned upright, without metadata (where a picture was taken among them).
 * JPEG, or PNG where the image has transparency, or WebP for an animation.
 */
export async function makeThumbnail(image: Buffer, order: ThumbnailOrder): Promise<Buffer | ThumbnailExit> {
  const sharp = await loadLibrary()
  if (!sharp) return 'unavailable'
  try {
    const { format, width, height, pages = 1, hasAlpha } = await sharp(image, { limitInputPixels: false }).metadata()
    // The library must have come to the same conclusion as we did.
    if (format !== order.format) return 'unreadable'
    const pixels = width * height
    if (pixels > pixelLimit) return 'tooLarge'
    const isAnimated = order.isAnimated && pages > 1 && pixels * pages <= pixelLimit
    const options: SharpOptions = { limitInputPixels: pixelLimit, failOn: 'error', animated: isAnimated }
    const pipeline = resize(sharp(image, options).timeout({ seconds: decodeTimeoutSeconds }), order, isAnimated)
    if (isAnimated) return await pipeline.webp().toBuffer()
    return await (hasAlpha ? pipeline.png() : pipeline.jpeg({ quality: jpegQuality })).toBuffer()
  } catch {
    // The library throws plain errors whose messages are for humans: all of them mean that it could not read the image.
    return 'unreadable'
  }
}

function resize(image: Sharp, { width, height, method }: ThumbnailOrder, isAnimated: boolean): Sharp {
  // Animations have no orientation.
  const upright = isAnimated ? image : image.autoOrient()
  if (width === 0 || height === 0) return upright
  const fit = method === 'crop' ? 'cover' : 'inside'
  // "Servers MUST NOT upscale thumbnails under any circumstance."
  return upright.resize({ width, height, fit, withoutEnlargement: true })
}
