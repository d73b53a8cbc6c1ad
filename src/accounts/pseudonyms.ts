import { type Random } from '../random.ts'

// Short words of nature that mean no harm in any pairing; with four digits they make 146 million names.

const qualities = (
  'amber ample ancient ardent autumn azure balmy bold brave breezy bright brisk bronze calm candid cedar chalk cheery ' +
  'civil clear clever cloudy cobalt coral cosmic cosy crisp curious dapper daring dawn deep dewy distant dusky eager ' +
  'early earnest easy fabled fair fern fine fleet floral fond free fresh frosty gentle gilded glad glowing golden grand ' +
  'green hardy hazel hidden honest humble idle ivory jade jolly keen kind late lemon light limber linen lively lofty ' +
  'lone lucid lunar mellow merry mild misty modest mossy nimble noble novel ocean olive opal open pearl placid plain ' +
  'polar proud quick quiet rapid ready rosy royal rustic sandy scarlet serene sharp shy silent silver simple sky sleek ' +
  'smooth snowy soft solar spry stable starry steady still sunny'
).split(' ')

const things = (
  'acorn alder alpine anchor ash aspen aster badger bamboo barley basil bay beacon beaver beech birch bison bloom brook ' +
  'cactus canyon carp cedar cherry cliff clover cloud comet condor coot cove crane creek cricket curlew cypress dahlia ' +
  'dale delta dolphin dove dune eagle elder elk elm ember falcon fern field finch fjord flint forest fox garden gecko ' +
  'ginkgo glade glen grove gull harbor hare hawk heath heron hill holly ibis iris island ivy jay juniper kelp kestrel ' +
  'lagoon lake larch lark laurel lichen lily linnet lotus lynx maple marmot marsh martin meadow mesa moon moss newt oak ' +
  'oasis orchid osprey otter owl palm panda pebble pelican petrel pine plover pond poplar prairie quail quartz rain ' +
  'raven reef ridge river robin'
).split(' ')

const digitsLimit = 10_000

/** A name such as `quiet-otter-0417`: a localpart that says nothing of whoever has it. */
export function drawPseudonym(random: Random): string {
  const quality = qualities[random.integer(qualities.length)]
  const thing = things[random.integer(things.length)]
  const digits = String(random.integer(digitsLimit)).padStart(4, '0')
  return `${quality}-${thing}-${digits}`
}
