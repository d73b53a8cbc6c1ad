import { type Clock } from '../clock.ts'

const dayMs = 24 * 60 * 60 * 1000

let lastDay = { number: NaN, date: '' }

/** Today in UTC, YYYY-MM-DD. */
export function today(clock: Clock): string {
  const nowMs = clock.now()
  const number = Math.floor(nowMs / dayMs)
  // Asked for by every request, so the day is written out once.
  if (number !== lastDay.number) lastDay = { number, date: new Date(nowMs).toISOString().slice(0, 10) }
  return lastDay.date
}

/** Midnight UTC of a date YYYY-MM-DD, in milliseconds since the epoch. */
export function startOfDay(date: string): number {
  return Math.floor(Date.parse(date) / dayMs) * dayMs
}
