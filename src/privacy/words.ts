import { type Erasure, type Lifetime, type TableEntry, type Whose } from './inventory.ts'

/** A number of days as people say it. */
export function days(count: number): string {
  return count === 1 ? '1 day' : `${count} days`
}

/** How long rows live, in words that follow "kept". */
export function lifetimeWords(lifetime: Lifetime): string {
  if (typeof lifetime === 'object') return `for ${days(lifetime.days)}`
  switch (lifetime) {
    case 'server':
      return 'as long as the server'
    case 'account':
      return 'as long as the account'
    case 'device':
      return 'as long as the device is signed in'
    case 'room':
      return 'as long as the room'
    case 'event':
      return 'as long as the event, which the room’s lifetime of messages bounds'
    case 'until used':
    case 'until replaced':
    case 'until it expires':
    case 'until removed':
      return lifetime
  }
}

/** Whom rows tell of, in a word or two. */
export function whoseWords(whose: Whose): string {
  switch (whose) {
    case 'user':
      return 'a user'
    case 'room':
      return 'a room'
    case 'server':
      return 'the server'
    case 'nobody':
      return 'nobody'
  }
}

/** What erasing an account does to the rows, in a sentence. */
export function erasureWords(erasure: Erasure): string {
  if (typeof erasure === 'object') return `Kept. ${erasure.kept}`
  switch (erasure) {
    case 'deleted':
      return 'Deleted.'
    case 'pruned':
      return 'Messages are deleted; what a room cannot do without is pruned to that.'
  }
}

/** A page about every table and column, in Markdown: the inventory as people read it. */
export function dataPage(tables: Readonly<Record<string, TableEntry>>): string {
  const sections = Object.entries(tables).map(([name, entry]) => {
    const columns = Object.entries(entry.columns).map(
      ([column, { purpose, isPersonal, isSecret }]) =>
        `| \`${column}\` | ${purpose} | ${isSecret ? 'yes, and never shown' : isPersonal ? 'yes' : 'no'} |`,
    )
    return [
      `## ${name}`,
      '',
      entry.purpose,
      '',
      `- Tells of: ${whoseWords(entry.whose)}.`,
      `- Kept: ${lifetimeWords(entry.lifetime)}.`,
      ...(entry.erasure === undefined ? [] : [`- When its user is erased: ${erasureWords(entry.erasure)}`]),
      '',
      '| column | what for | personal |',
      '|---|---|---|',
      ...columns,
    ].join('\n')
  })
  return `${[
    '# Everything that the server keeps',
    'Each table of the database with each of its columns: what it is for, of whom it tells, how long it is kept, and what becomes of it\nwhen an account is erased. This page is made from `src/privacy/inventory.ts`, which is held against the database by a test; what is\nnot on it is not kept. Uploaded files lie in the media folder and are named in `media` and `media_thumbnails`.',
    ...sections,
  ].join('\n\n')}\n`
}
