import { type Clock } from '../clock.ts'

const dayMs = 24 * 60 * 60 * 1000

/** Today in UTC, YYYY-MM-DD. */
export function today(clock: Clock): string {
  return new Date(clock.now()).toISOString().slice(0, 10)
}

/** Midnight UTC of a date YYYY-MM-DD, in milliseconds since the epoch. */
export function startOfDay(date: string): number {
  return Math.floor(Date.parse(date) / dayMs) * dayMs
}
