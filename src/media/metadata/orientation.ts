const orientationTag = 0x0112
const shortType = 3
/** Bytes of an Exif block that say how to turn a picture: enough for any that a camera writes. */
export const exifHeadBytes = 65_536
const exifPrefix = Buffer.from('Exif\0\0')

/**
 * How an Exif block (with or without its prefix) wants the picture turned: 1, upright, to 8. Whatever cannot be read is
 * upright.
 */
export function orientationIn(block: Buffer): number {
  const tiff = block.subarray(0, exifPrefix.length).equals(exifPrefix) ? block.subarray(exifPrefix.length) : block
  if (tiff.length < 8) return 1
  const order = tiff.toString('latin1', 0, 2)
  if (order !== 'II' && order !== 'MM') return 1
  const read16 = (at: number) => (order === 'II' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const directory = order === 'II' ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4)
  if (directory + 2 > tiff.length) return 1
  const entries = read16(directory)
  for (let index = 0; index < entries; index += 1) {
    const at = directory + 2 + index * 12
    if (at + 12 > tiff.length) return 1
    if (read16(at) !== orientationTag || read16(at + 2) !== shortType) continue
    const orientation = read16(at + 8)
    return orientation >= 1 && orientation <= 8 ? orientation : 1
  }
  return 1
}

/** An Exif block, without its prefix, that says how to turn the picture and nothing else. */
export function exifOf(orientation: number): Buffer {
  const block = Buffer.alloc(26)
  block.write('MM\0*', 0, 'latin1')
  block.writeUInt32BE(8, 4)
  block.writeUInt16BE(1, 8)
  block.writeUInt16BE(orientationTag, 10)
  block.writeUInt16BE(shortType, 12)
  block.writeUInt32BE(1, 14)
  block.writeUInt16BE(orientation, 18)
  return block
}
