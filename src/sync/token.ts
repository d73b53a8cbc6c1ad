/**
 * Tokens of /sync and of pagination. Clients must not look into them; we must be able to.
 * A sync token is `s<position>_<typing>_<epoch>`: the log position up to which its holder knows everything, the serial of
 * the typing notifications it has seen (they are not in the log), and the epoch of the log. A fourth part, `_<position>`,
 * stands in tokens whose holder has received to-device messages only up to there, because there were too many for one
 * answer. A timeline token is `t<position>`: the place between a position of a room's timeline and the next; positions
 * below 0 are backfilled.
 */
export interface SyncToken {
  readonly position: number
  readonly typing: number
  readonly epoch: string
  /** Where the to-device messages end that were delivered; absent where that is `position`. */
  readonly toDevice?: number
}

export function syncToken({ position, typing, epoch, toDevice }: SyncToken): string {
  const behind = toDevice === undefined || toDevice >= position ? '' : `_${toDevice}`
  return `s${position}_${typing}_${epoch}${behind}`
}

/** `null` for what no server of ours can have made. */
export function parseSyncToken(text: string): SyncToken | null {
  const match = /^s(\d{1,16})_(\d{1,16})_([A-Za-z0-9-]{1,64})(?:_(\d{1,16}))?$/.exec(text)
  if (!match) return null
  const [, position = '', typing = '', epoch = '', behind] = match
  const token = { position: Number(position), typing: Number(typing), epoch }
  const toDevice = behind === undefined ? undefined : Number(behind)
  const isSafe = [token.position, token.typing, toDevice ?? 0].every(Number.isSafeInteger)
  if (!isSafe || (toDevice !== undefined && toDevice > token.position)) return null
  return toDevice === undefined ? token : { ...token, toDevice }
}

export function timelineToken(position: number): string {
  return `t${position}`
}

/** The position that a timeline token, or a sync token, stands for; `null` for what is neither. */
export function parseTimelineToken(text: string): number | null {
  const match = /^t(-?\d{1,16})$/.exec(text)
  if (!match) return parseSyncToken(text)?.position ?? null
  const position = Number(match[1])
  return Number.isSafeInteger(position) ? position : null
}
