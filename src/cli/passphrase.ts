import { readFile } from 'node:fs/promises'
import { codeOf } from '../errors.ts'
import { KeyringError } from '../privacy/keyring/keyring.ts'

/** Where a passphrase may come from. */
export interface PassphraseOptions {
  readonly passphraseFile?: string
}

/**
 * The passphrase of a copy of the keys: from the file that was named, else from LETHE_KEYS_PASSPHRASE, else from the terminal.
 * `isNew`: it is asked for twice there. Throws `KeyringError`.
 */
export async function readPassphrase({ passphraseFile }: PassphraseOptions, isNew: boolean): Promise<string> {
  if (passphraseFile !== undefined) return (await readNamedFile(passphraseFile)).toString().replace(/\r?\n$/, '')
  const given = process.env['LETHE_KEYS_PASSPHRASE']
  if (given) return given
  if (!process.stdin.isTTY) {
    throw new KeyringError('The backup needs a passphrase: --passphrase-file FILE, or LETHE_KEYS_PASSPHRASE.')
  }
  const typed = await ask('Passphrase: ')
  if (isNew && (await ask('The same again: ')) !== typed) {
    throw new KeyringError('The two passphrases differ: nothing was done.')
  }
  return typed
}

/** A file that the operator named. Throws `KeyringError`. */
export async function readNamedFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new KeyringError(`${file} cannot be read (${codeOf(error) ?? 'unknown error'}).`)
  }
}

/** What is typed on the terminal up to the end of the line; none of it is shown. */
function ask(question: string): Promise<string> {
  const { stdin, stderr } = process
  stdin.setEncoding('utf8')
  // Before the question is asked: whoever is quick would see the beginning.
  stdin.setRawMode(true)
  stdin.resume()
  stderr.write(question)
  return new Promise((resolve, reject) => {
    let typed: string[] = []
    const end = () => {
      stdin.setRawMode(false)
      stdin.pause()
      stdin.off('data', onData)
      stderr.write('\n')
    }
    const onData = (chunk: string | Buffer) => {
      for (const character of String(chunk)) {
        if (character === '\r' || character === '\n') {
          end()
          return resolve(typed.join(''))
        }
        // Ctrl-C and Ctrl-D end it; Ctrl-U and the two keys for going back mean what they always do.
        if (character === '\u0003' || character === '\u0004') {
          end()
          return reject(new KeyringError('No passphrase was given: nothing was done.'))
        }
        if (character === '\u0015') typed = []
        else if (character === '\u007f' || character === '\b') typed.pop()
        else typed.push(character)
      }
    }
    stdin.on('data', onData)
  })
}
