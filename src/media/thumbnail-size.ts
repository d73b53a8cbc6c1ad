import { type ThumbnailSize } from '../storage/media.ts'

const crop = (width: number, height: number): ThumbnailSize => ({ width, height, method: 'crop' })
const scale = (width: number, height: number): ThumbnailSize => ({ width, height, method: 'scale' })

/**
 * The sizes that thumbnails are made in, so that nobody can have one made in every size: those that the specification names,
 * and larger squares for the avatars of dense screens. By method, the smallest first.
 */
const sizes: readonly ThumbnailSize[] = [
  crop(32, 32), crop(96, 96), crop(320, 320), crop(640, 640), scale(320, 240), scale(640, 480), scale(800, 600),
] // prettier-ignore

/** As large as the original: "Servers MUST NOT return a smaller thumbnail than requested". */
export const originalSize = scale(0, 0)

/**
 * The smallest size of the method that is not smaller than what is asked for.
 * https://spec.matrix.org/v1.19/client-server-api/#thumbnails
 */
export function thumbnailSizeFor(width: number, height: number, method: 'crop' | 'scale'): ThumbnailSize {
  return sizes.find(size => size.method === method && size.width >= width && size.height >= height) ?? originalSize
}
