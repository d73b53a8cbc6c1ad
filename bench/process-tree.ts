import { readdirSync, readFileSync } from 'node:fs'

/** What one named process and its descendants have used so far. */
export type ProcessUse = {
  readonly pid: number
  /** The program's file name, as `/proc` gives it. */
  readonly name: string
  /** User and system time of the process, its descendants, and those of them that have ended. */
  readonly cpuSeconds: number
  /** Resident memory of the process itself. */
  readonly residentBytes: number
  /** Private (anonymous) memory of its descendants. Shared pages, such as a database's buffers, would be counted once per process. */
  readonly descendantPrivateBytes: number
}

/** One line of `/proc/<pid>/stat`, as far as it is needed. Times in clock ticks. */
export type ProcessStat = { readonly parentPid: number; readonly ticks: number }

/** USER_HZ: 100 on every Linux that Node supports. */
const ticksPerSecond = 100

/**
 * Reads `/proc/<pid>/stat`; `null` if it is malformed. The second field is the program's name in parentheses and may
 * hold spaces and parentheses itself, so counting begins after the last one. The ticks include those of children that
 * have ended and were waited for.
 */
export function parseStat(text: string): ProcessStat | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const parentPid = Number(fields[1])
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0)
  return Number.isInteger(parentPid) && Number.isFinite(ticks) ? { parentPid, ticks } : null
}

/** A line such as `VmRSS:    1234 kB` of `/proc/<pid>/status`, in bytes; 0 where it is absent. */
export function parseStatusBytes(text: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)
  return match?.[1] === undefined ? 0 : Number(match[1]) * 1_024
}

/**
 * What the given processes have used, in the order given. A process that descends from another one of the list is
 * counted under its nearest ancestor in the list only. Processes that are gone are left out. Linux only.
 */
export function sampleProcesses(roots: readonly number[]): ProcessUse[] {
  const stats = readStats()
  const rootOf = (pid: number): number | null => {
    let current = pid
    // Bounded by the table's size: pids may be reused while it is read, which could make a ring.
    for (let step = 0; step <= stats.size; step += 1) {
      if (roots.includes(current)) return current
      const stat = stats.get(current)
      if (stat === undefined) return null
      current = stat.parentPid
    }
    return null
  }
  const owned = new Map<number, number[]>(roots.map(root => [root, []]))
  for (const pid of stats.keys()) {
    const root = rootOf(pid)
    if (root !== null) owned.get(root)?.push(pid)
  }
  return roots
    .filter(root => stats.has(root))
    .map(root => {
      const pids = owned.get(root) ?? []
      const ticks = pids.reduce((sum, pid) => sum + (stats.get(pid)?.ticks ?? 0), 0)
      const descendants = pids.filter(pid => pid !== root)
      return {
        pid: root,
        name: programName(root),
        cpuSeconds: ticks / ticksPerSecond,
        residentBytes: statusBytes(root, 'VmRSS'),
        descendantPrivateBytes: descendants.reduce((sum, pid) => sum + statusBytes(pid, 'RssAnon'), 0),
      }
    })
}

function readStats(): Map<number, ProcessStat> {
  const stats = new Map<number, ProcessStat>()
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue
    const stat = parseStat(readOrEmpty(`/proc/${entry}/stat`))
    if (stat !== null) stats.set(Number(entry), stat)
  }
  return stats
}

function programName(pid: number): string {
  const program = readOrEmpty(`/proc/${pid}/cmdline`).split('\0')[0] ?? ''
  return program.slice(program.lastIndexOf('/') + 1).split(' ')[0] || 'unknown'
}

function statusBytes(pid: number, name: string): number {
  return parseStatusBytes(readOrEmpty(`/proc/${pid}/status`), name)
}

/** Processes end while they are being read, and some may not be read; both count as absent. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
