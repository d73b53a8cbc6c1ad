import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { dictionary } from './dictionary.ts'
import { phrases } from './phrases.ts'

/**
 * How text is made small before it is sealed. What is short, events above all, is packed here: a general packer takes twice as
 * long as the encryption. UTF-8 leaves bytes over that no character begins with; they stand for phrases, and for runs
 * of base64, which become the bytes that they say.
 */

/** For a run of base64, in either alphabet; then follows how many bytes it says, and those. */
const runCode = 0xf5
const urlRunCode = 0xf6
/** What a packed text begins with; DEFLATE has no block of this type, so what it packed begins with no such byte. */
const marker = 0x07
/** Bytes that begin no character, one for each phrase. */
const phraseCodes = [...range(0x80, 0xc1), ...range(0xf7, 0xff)]
/** Shorter runs of base64 are left as they are; what says 255 bytes is the longest. */
const shortestRun = 12
const longestRun = (255 / 3) * 4
/** What one byte, or one run, may grow to when it is unpacked, and more. */
const longestStep = 512
/** Longer texts repeat themselves, and are given to DEFLATE if that makes more of them. */
const longText = 2_048

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

const standard = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const urlSafe = `${standard.slice(0, 62)}-_`
const alphabets = [Buffer.from(standard), Buffer.from(urlSafe)] as const
/** The value of a character of base64 in either alphabet; 64: of neither. */
const digits = new Uint8Array(256).fill(64)
for (const alphabet of alphabets) for (const [value, byte] of alphabet.entries()) digits[byte] = value

const phraseBytes = phrases.map(phrase => Buffer.from(phrase))
/** For each byte the number of its phrase, counted from 1; 0: it stands for none. */
const phraseOfCode = new Uint8Array(256)
for (const index of phrases.keys()) phraseOfCode[phraseCodes[index] ?? 0] = index + 1
const tree = treeOf(phraseBytes)

/** The phrases, byte by byte: at `node * 128 + byte` the next node, and for each node the code of the phrase that ends there. */
function treeOf(words: readonly Buffer[]): { readonly next: Uint16Array; readonly codes: Uint8Array } {
  if (words.length > phraseCodes.length) throw new RangeError('there are more phrases than bytes for them')
  const size = words.reduce((sum, word) => sum + word.length, 1)
  const next = new Uint16Array(size * 128)
  const codes = new Uint8Array(size)
  let count = 0
  for (const [index, word] of words.entries()) {
    let node = 0
    for (const byte of word) node = next[node * 128 + byte] ||= ++count
    codes[node] = phraseCodes[index] ?? 0
  }
  return { next, codes }
}

let scratch = Buffer.alloc(65_536)

/** The text in fewer bytes, as a rule; never in more than one more than it has in UTF-8. */
export function pack(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (scratch.length <= bytes.length) scratch = Buffer.alloc(2 * bytes.length)
  const packed = Buffer.from(scratch.subarray(0, packInto(scratch, bytes)))
  if (bytes.length < longText) return packed
  const deflated = deflateRawSync(bytes, packing)
  return deflated.length < packed.length ? deflated : packed
}

/** The text that was packed. Throws for bytes that `pack` does not return. */
export function unpack(packed: Buffer): string {
  return packed[0] === marker ? unpackPhrases(packed) : inflateRawSync(packed, packing).toString()
}

function packInto(out: Buffer, bytes: Buffer): number {
  const { length } = bytes
  const { next, codes } = tree
  let end = 0
  out[end++] = marker
  for (let at = 0; at < length;) {
    const byte = bytes[at] ?? 0
    let node = byte < 128 ? (next[byte] ?? 0) : 0
    if (node > 0) {
      let code = 0
      let after = at
      for (let index = at + 1; node > 0; index++) {
        const found = codes[node] ?? 0
        if (found > 0) {
          code = found
          after = index
        }
        const following = index < length ? (bytes[index] ?? 0) : 255
        node = following < 128 ? (next[node * 128 + following] ?? 0) : 0
      }
      if (code > 0) {
        out[end++] = code
        at = after
        continue
      }
    }
    if ((digits[byte] ?? 64) === 64) {
      out[end++] = byte
      at++
      continue
    }
    // No phrase begins with a character of base64, so the whole run is dealt with at once.
    const { chars, isUrl } = runAt(bytes, at)
    const after = at + chars
    if (chars >= shortestRun) {
      const whole =
        chars % 4 === 0 || isCanonical(chars, digits[bytes[after - 1] ?? 0] ?? 0) ? chars : chars - (chars % 4)
      out[end++] = isUrl ? urlRunCode : runCode
      out[end++] = Math.floor((whole * 3) / 4)
      end = packRun(out, end, bytes, at, whole)
      at += whole
    }
    while (at < after) out[end++] = bytes[at++] ?? 0
  }
  return end
}

/** How many characters of one alphabet of base64 follow, and of which. */
function runAt(bytes: Buffer, start: number): { chars: number; isUrl: boolean } {
  const limit = Math.min(bytes.length, start + longestRun)
  let isUrl = false
  let isStandard = false
  let at = start
  for (; at < limit; at++) {
    const byte = bytes[at] ?? 0
    const digit = digits[byte] ?? 64
    if (digit < 62) continue
    if (digit === 64) break
    // The last two digits are what the alphabets differ in.
    if (byte === 0x2d || byte === 0x5f) {
      if (isStandard) break
      isUrl = true
    } else {
      if (isUrl) break
      isStandard = true
    }
  }
  return { chars: at - start, isUrl }
}

/** Whether the last character, of a run that is no multiple of four, says nothing beside its part of the last byte. */
function isCanonical(chars: number, lastDigit: number): boolean {
  return chars % 4 === 3 ? (lastDigit & 3) === 0 : chars % 4 === 2 && (lastDigit & 15) === 0
}

function packRun(out: Buffer, start: number, bytes: Buffer, from: number, chars: number): number {
  let end = start
  let at = from
  for (const stop = from + chars - (chars % 4); at < stop; at += 4) {
    const group =
      ((digits[bytes[at] ?? 0] ?? 0) << 18) | ((digits[bytes[at + 1] ?? 0] ?? 0) << 12) |
      ((digits[bytes[at + 2] ?? 0] ?? 0) << 6) | (digits[bytes[at + 3] ?? 0] ?? 0) // prettier-ignore
    out[end++] = group >> 16
    out[end++] = (group >> 8) & 255
    out[end++] = group & 255
  }
  if (chars % 4 === 0) return end
  const group =
    ((digits[bytes[at] ?? 0] ?? 0) << 12) | ((digits[bytes[at + 1] ?? 0] ?? 0) << 6) |
    (chars % 4 === 3 ? (digits[bytes[at + 2] ?? 0] ?? 0) : 0) // prettier-ignore
  out[end++] = group >> 10
  if (chars % 4 === 3) out[end++] = (group >> 2) & 255
  return end
}

function unpackPhrases(packed: Buffer): string {
  let out = scratch
  let end = 0
  for (let at = 1; at < packed.length;) {
    if (out.length - end < longestStep) out = scratch = Buffer.concat([out], 2 * out.length)
    const byte = packed[at++] ?? 0
    const phrase = phraseOfCode[byte] ?? 0
    if (phrase > 0) {
      const text = phraseBytes[phrase - 1]
      if (text) for (let index = 0; index < text.length; index++) out[end++] = text[index] ?? 0
    } else if (byte === runCode || byte === urlRunCode) {
      const length = packed[at++] ?? 0
      end = unpackRun(out, end, packed, at, length, alphabets[byte === urlRunCode ? 1 : 0])
      at += length
    } else {
      out[end++] = byte
      // The rest of the character: it may look like codes.
      for (let rest = byte < 0xc2 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3; rest > 0; rest--)
        out[end++] = packed[at++] ?? 0
    }
  }
  return out.toString('utf8', 0, end)
}

function unpackRun(out: Buffer, start: number, packed: Buffer, from: number, length: number, alphabet: Buffer): number {
  let end = start
  let at = from
  for (const stop = from + length - (length % 3); at < stop; at += 3) {
    const group = ((packed[at] ?? 0) << 16) | ((packed[at + 1] ?? 0) << 8) | (packed[at + 2] ?? 0)
    out[end++] = alphabet[group >> 18] ?? 0
    out[end++] = alphabet[(group >> 12) & 63] ?? 0
    out[end++] = alphabet[(group >> 6) & 63] ?? 0
    out[end++] = alphabet[group & 63] ?? 0
  }
  if (length % 3 === 0) return end
  const group = ((packed[at] ?? 0) << 16) | (length % 3 === 2 ? (packed[at + 1] ?? 0) << 8 : 0)
  out[end++] = alphabet[group >> 18] ?? 0
  out[end++] = alphabet[(group >> 12) & 63] ?? 0
  if (length % 3 === 2) out[end++] = alphabet[(group >> 6) & 63] ?? 0
  return end
}

// Small tables: what is packed is short, and setting up the usual ones would cost more than the packing.
const packing = { level: constants.Z_BEST_COMPRESSION, windowBits: 12, memLevel: 4, dictionary }
