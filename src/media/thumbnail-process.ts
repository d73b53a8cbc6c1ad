/**
 * A program of its own, started for each thumbnail: image decoders are native code with a history of holes and crashes, and
 * here they have nothing to take along. Reads an image from standard input and writes the thumbnail to standard output.
 * Arguments: the format that the image must have, width, height, method, whether it may be animated. Exits with one of
 * `thumbnailExits`; every other exit means that the image could not be read.
 */
import { buffer } from 'node:stream/consumers'
import { makeThumbnail } from './make-thumbnail.ts'
import { thumbnailExits } from './thumbnail-exits.ts'

const [, , format = '', width = '', height = '', method = '', animated = ''] = process.argv
const image = await buffer(process.stdin)
const made = await makeThumbnail(image, {
  format,
  width: Number(width),
  height: Number(height),
  method: method === 'crop' ? 'crop' : 'scale',
  isAnimated: animated === 'animated',
})
if (typeof made === 'string') process.exitCode = thumbnailExits[made]
else process.stdout.write(made)
