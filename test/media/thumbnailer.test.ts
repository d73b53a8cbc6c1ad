import { describe, expect, it } from '@jest/globals'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { type Context } from '../../src/context.ts'
import { imageFormatOf } from '../../src/media/image-format.ts'
import { runThumbnailer } from '../../src/media/thumbnailer.ts'
import { TestClock } from '../harness/clock.ts'
import { picture } from './images.ts'

const size = { width: 32, height: 32, method: 'crop' } as const

/** As much of a context as making thumbnails takes. */
function newContext() {
  const clock = new TestClock()
  const shutdown = new AbortController()
  const ctx = { clock, shutdown: shutdown.signal } as unknown as Context // `runThumbnailer` takes no more of it.
  return { ctx, clock, shutdown }
}

/** A picture that never ends. */
const endless = () => Promise.resolve(new Readable({ read() {} }))

describe('the process that makes thumbnails', () => {
  it('makes one', async () => {
    const image = await picture(64, 64, 'webp')
    const made = await runThumbnailer(newContext().ctx, async () => Readable.from([image]), 'webp', size, false)
    if (typeof made === 'string') throw new Error(made)
    expect(imageFormatOf(made)).toBe('jpeg')
  })

  it('is killed when it takes too long, and when the server ends', async () => {
    const slow = newContext()
    const first = runThumbnailer(slow.ctx, endless, 'png', size, false)
    await slow.clock.advance(20_000)
    expect(await first).toBe('interrupted')
    const ending = newContext()
    const second = runThumbnailer(ending.ctx, endless, 'png', size, false)
    await ending.clock.advance(0)
    ending.shutdown.abort()
    expect(await second).toBe('interrupted')
    expect(await runThumbnailer(ending.ctx, endless, 'png', size, false)).toBe('interrupted')
  })

  it('survives a picture that cannot be opened or read to its end, and goes on with the next', async () => {
    const { ctx } = newContext()
    await expect(runThumbnailer(ctx, () => Promise.reject(new Error('gone')), 'png', size, false)).rejects.toThrow('gone') // prettier-ignore
    const broken = async () => createReadStream('/nonexistent')
    expect(await runThumbnailer(ctx, broken, 'png', size, false)).toBe('unreadable')
    const image = await picture(64, 64, 'png')
    expect(await runThumbnailer(ctx, async () => Readable.from([image]), 'png', size, false)).toBeInstanceOf(Buffer)
  })

  it('has two turns at a time and a hundred that wait; more are told to come again', async () => {
    const { ctx, shutdown } = newContext()
    let opened = 0
    const open = () => ((opened += 1), endless())
    const waiting = Array.from({ length: 102 }, () => runThumbnailer(ctx, open, 'png', size, false))
    await expect(runThumbnailer(ctx, open, 'png', size, false)).rejects.toMatchObject({ errcode: 'M_LIMIT_EXCEEDED' })
    expect(opened).toBe(2)
    shutdown.abort()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['interrupted']))
    expect(opened).toBe(102)
  })
})
