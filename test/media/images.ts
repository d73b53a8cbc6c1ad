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

/** A PNG that says that it has so many pixels, and has none. */
export function hugePicture(width: number, height: number): Buffer {
  const header = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
  const body = Buffer.alloc(13)
  body.writeUInt32BE(width, 0)
  body.writeUInt32BE(height, 4)
  body.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([header, body, Buffer.alloc(4)])
}
