import { describe, expect, it } from '@jest/globals'
import { imageFormatOf } from '../../src/media/image-format.ts'
import { originalSize, thumbnailSizeFor } from '../../src/media/thumbnail-size.ts'
import { picture } from './images.ts'

describe('the format of an image', () => {
  it.each(['jpeg', 'png', 'gif', 'webp'] as const)('is seen in its first bytes: %p', async format => {
    expect(imageFormatOf(await picture(8, 8, format))).toBe(format)
  })

  it.each([
    ['nothing', ''],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['SVG after blanks', '  \n<svg/>'],
    ['PDF', '%PDF-1.7\n'],
    ['PostScript', '%!PS-Adobe-3.0'],
    ['TIFF', 'II*\0\x08\0\0\0'],
    ['big TIFF', 'MM\0+\0\x08\0\0'],
    ['BMP', 'BM\x36\0\0\0'],
    ['AVIF', '\0\0\0\x1cftypavif'],
    ['HEIC', '\0\0\0\x18ftypheic'],
    ['MP4', '\0\0\0\x18ftypmp42'],
    ['JPEG 2000', '\0\0\0\x0cjP  \r\n\x87\n'],
    ['JPEG XL', '\xff\x0a'],
    ['Photoshop', '8BPS\0\x01'],
    ['MVG', 'push graphic-context\nviewbox 0 0 1 1'],
    ['a magick prefix', 'msl:/etc/passwd'],
    ['WAV in RIFF', 'RIFF\x24\0\0\0WAVEfmt '],
    ['a cut WebP', 'RIFF\x24\0\0\0WEBP'],
    ['a PNG without its header', '\x89PNG\r\n\x1a\n\0\0\0\0tEXt'],
    ['a GIF of no version', 'GIF88a'],
    ['a ZIP', 'PK\x03\x04'],
    ['HTML', '<!DOCTYPE html>'],
  ])('is none for %s', (_, text) => {
    expect(imageFormatOf(Buffer.from(text, 'latin1'))).toBeNull()
  })
})

describe('the size of a thumbnail', () => {
  it.each([
    [1, 1, 'crop', 32, 32],
    [32, 32, 'crop', 32, 32],
    [33, 10, 'crop', 96, 96],
    [96, 97, 'crop', 320, 320],
    [1, 1, 'scale', 320, 240],
    [320, 241, 'scale', 640, 480],
    [800, 600, 'scale', 800, 600],
  ] as const)(
    'for %d × %d, %s, is not smaller than asked for',
    (width, height, method, expectedWidth, expectedHeight) => {
      expect(thumbnailSizeFor(width, height, method)).toEqual({ width: expectedWidth, height: expectedHeight, method })
    },
  )

  it('is that of the original where no size is large enough', () => {
    expect(thumbnailSizeFor(801, 1, 'scale')).toEqual(originalSize)
    expect(thumbnailSizeFor(1, 9_999, 'crop')).toEqual(originalSize)
  })
})
