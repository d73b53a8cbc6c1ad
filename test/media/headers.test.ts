import { describe, expect, it } from '@jest/globals'
import fastCheck from 'fast-check'
import { contentDisposition, dispositionOf, mediaHeaders, normaliseContentType } from '../../src/media/headers.ts'

describe('the media type of an upload', () => {
  it.each([
    ['image/png', 'image/png'],
    [' IMAGE/Png ', 'image/png'],
    ['Text/Plain; charset=utf-8', 'text/plain; charset=utf-8'],
    ['text/html;x=y', 'text/html; x=y'],
    ['text/plain ;\tCharset="UTF-8" ; ', 'text/plain; charset="UTF-8"'],
    ['video/ogg; codecs="theora, vorbis"', 'video/ogg; codecs="theora, vorbis"'],
    ['application/ld+json', 'application/ld+json'],
  ])('is kept in one spelling: %p', (header, kept) => {
    expect(normaliseContentType(header)).toBe(kept)
  })

  it.each([
    [null],
    [''],
    ['image'],
    ['image/'],
    ['/png'],
    ['image/png, text/html'],
    ['image/png text/html'],
    ['image/png\r\nX-Evil: 1'],
    ['image/png\0'],
    ['image/png; a'],
    ['image/png; a="b'],
    ['image/png; a="\n"'],
    ['ımage/png'],
    [`image/${'p'.repeat(300)}`],
  ])('is octets when it is not one media type: %p', header => {
    expect(normaliseContentType(header)).toBe('application/octet-stream')
  })

  it('never holds what could end a header, and stays as it is when it is read again', () => {
    fastCheck.assert(
      fastCheck.property(fastCheck.stringMatching(/^[a-z]{1,4}\/[ -~\n]{1,40}$/), header => {
        const kept = normaliseContentType(header)
        expect(kept).toMatch(/^[\x20-\x7e]+$/)
        expect(normaliseContentType(kept)).toBe(kept)
      }),
    )
  })
})

describe('the disposition', () => {
  it.each([
    'text/css',
    'text/plain',
    'text/csv',
    'application/json',
    'application/ld+json',
    'image/jpeg',
    'image/gif',
    'image/png',
    'image/apng',
    'image/webp',
    'image/avif',
    'video/mp4',
    'video/webm',
    'video/ogg',
    'video/quicktime',
    'audio/mp4',
    'audio/webm',
    'audio/aac',
    'audio/mpeg',
    'audio/ogg',
    'audio/wave',
    'audio/wav',
    'audio/x-wav',
    'audio/x-pn-wav',
    'audio/flac',
    'audio/x-flac',
  ])('shows what can run no script: %p', type => {
    // prettier-ignore
    expect(dispositionOf(normaliseContentType(type))).toBe('inline')
    expect(dispositionOf(normaliseContentType(`${type.toUpperCase()} ; charset=utf-8`))).toBe('inline')
  })

  it.each([
    'text/html',
    'TEXT/HTML',
    'text/html;x=y',
    'image/png, text/html',
    'image/svg+xml',
    'image/svg',
    'text/xml',
    'application/xml',
    'application/xhtml+xml',
    'application/pdf',
    'application/javascript',
    'text/javascript',
    'application/x-shockwave-flash',
    'multipart/related',
    'message/rfc822',
    'text/x-html',
    'application/octet-stream',
    'font/woff2',
    'model/vrml',
    'application/wasm',
  ])('has everything else saved: %p', type => {
    // prettier-ignore
    expect(dispositionOf(normaliseContentType(type))).toBe('attachment')
  })

  it.each([
    [null, 'inline'],
    ['ascii', 'inline; filename="ascii"'],
    ['name with spaces', 'inline; filename="name with spaces"'],
    ['name;with;semicolons', 'inline; filename="name;with;semicolons"'],
    ['☕', "inline; filename*=utf-8''%E2%98%95"],
    ['a"b', "inline; filename*=utf-8''a%22b"],
    ['100%25', "inline; filename*=utf-8''100%2525"],
    ["l'été (1)*", "inline; filename*=utf-8''l%27%C3%A9t%C3%A9%20%281%29%2A"],
  ])('names the file as %p', (name, header) => {
    expect(contentDisposition('inline', name)).toBe(header)
  })

  it('gives back any name, in characters that a header may hold', () => {
    fastCheck.assert(
      fastCheck.property(fastCheck.string({ unit: 'grapheme', minLength: 1 }), name => {
        const header = contentDisposition('attachment', name)
        expect(header).toMatch(/^[\x20-\x7e]+$/)
        const [, quoted] = /filename="([^"\\]*)"$/.exec(header) ?? []
        const [, encoded] = /filename\*=utf-8''([A-Za-z0-9!#$&+.^_`|~%-]*)$/.exec(header) ?? []
        expect(quoted ?? decodeURIComponent(encoded ?? '')).toBe(name)
      }),
    )
  })
})

describe('the headers of media', () => {
  it('say UTF-8 for text that names no charset', () => {
    const typeOf = (contentType: string) => mediaHeaders({ contentType, sizeBytes: 1, fileName: null })['Content-Type']
    expect(typeOf('text/plain')).toBe('text/plain; charset=utf-8')
    expect(typeOf('text/plain; charset=latin1')).toBe('text/plain; charset=latin1')
    expect(typeOf('image/png')).toBe('image/png')
  })
})
