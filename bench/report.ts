import { budgets, judge, type Verdict } from './budgets.ts'
import { type Options } from './options.ts'
import { type Report } from './runner.ts'
import { type FigureName, type Figures, type ProcessCost, type Result } from './scenario.ts'

const units: Readonly<Record<FigureName, { readonly label: string; readonly unit: string }>> = {
  perSecond: { label: '', unit: '/s' },
  p50Ms: { label: 'p50', unit: 'ms' },
  p99Ms: { label: 'p99', unit: 'ms' },
  kibibytesPerPoll: { label: '', unit: 'KiB each' },
  bytesPerMessage: { label: '', unit: 'B each' },
  idleMebibytes: { label: 'idle', unit: 'MiB' },
  finalMebibytes: { label: 'after', unit: 'MiB' },
}

const columns = ['scenario', '/s', 'p50 ms', 'p99 ms', 'CPU µs/op', 'memory MiB', 'errors', 'budget', ''] as const

/** The table for people: a row per result, then the notes. Plain text, columns separated by two spaces. */
export function formatTable(report: Report, options: Pick<Options, 'quick'>): string {
  const rows = [[...columns], ...report.results.map(formatRow)]
  const widths = columns.map((_, column) => Math.max(...rows.map(row => [...(row[column] ?? '')].length)))
  const lines = rows.map(row =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, column === 0 || column >= 7))
      .join('  ')
      .trimEnd(),
  )
  const [header = '', ...body] = lines
  return [header, '─'.repeat(header.length), ...body, '', ...remarks(report, options)].join('\n')
}

/** The same for machines; nothing in it is secret. `dateText` is ISO 8601. */
export function formatJson(report: Report, options: Options, dateText: string): string {
  const results = report.results.map(result => ({ ...result, verdicts: judge(result.name, result.figures) }))
  const { quick, plan, fanOut } = options
  return `${JSON.stringify({ date: dateText, node: process.version, quick, plan, fanOut, budgets, ...report, results }, null, 2)}\n`
}

/** How many results could not be measured though they should have been. */
export function countFailed(report: Report): number {
  return report.results.filter(result => result.outcome === 'failed').length
}

function formatRow(result: Result): string[] {
  const verdicts = judge(result.name, result.figures)
  const { perSecond, p50Ms, p99Ms } = result.figures
  return [
    result.name,
    perSecond === undefined ? otherFigures(result.figures) : formatNumber(perSecond),
    p50Ms === undefined ? '' : formatNumber(p50Ms),
    p99Ms === undefined ? '' : formatNumber(p99Ms),
    result.processes.map(costText).join(' + '),
    result.processes.map(memoryText).join(' + '),
    result.errors === 0 ? '' : String(result.errors),
    verdicts.map(budgetText).join(', '),
    mark(result, verdicts),
  ]
}

function otherFigures(figures: Figures): string {
  const shown = ['kibibytesPerPoll', 'bytesPerMessage', 'idleMebibytes', 'finalMebibytes'] as const
  return shown
    .flatMap(name => {
      const value = figures[name]
      return value === undefined ? [] : [`${units[name].label} ${formatNumber(value)} ${units[name].unit}`.trim()]
    })
    .join(', ')
}

function costText(cost: ProcessCost): string {
  return cost.cpuMicrosPerOperation === null ? '?' : String(Math.round(cost.cpuMicrosPerOperation))
}

function memoryText(cost: ProcessCost): string {
  const own = Math.round(cost.residentBytes / 1_048_576)
  const descendants = Math.round(cost.descendantPrivateBytes / 1_048_576)
  return descendants === 0 ? String(own) : `${own} (+${descendants})`
}

function budgetText({ budget }: Verdict): string {
  const { label, unit } = units[budget.figure]
  return `${label} ${budget.bound === 'at least' ? '≥' : '≤'} ${budget.value} ${unit}`.trim()
}

function mark(result: Result, verdicts: readonly Verdict[]): string {
  if (result.outcome !== 'measured') return result.outcome
  if (verdicts.length === 0) return ''
  // Figures from a window full of refusals would flatter the server.
  if (result.errors * 100 > result.operations + result.errors) return 'invalid (errors)'
  return verdicts.every(verdict => verdict.isMet) ? 'pass' : 'MISS'
}

function remarks(report: Report, options: Pick<Options, 'quick'>): string[] {
  const lines = report.results.flatMap(result => {
    const notes = [...result.notes]
    if (result.firstError !== null) notes.push(`first error: ${result.firstError}`)
    return notes.length === 0 ? [] : [`${result.name}: ${notes.join('; ')}`]
  })
  const watched = report.results.find(result => result.processes.length > 0)?.processes ?? []
  if (watched.length > 0) {
    const names = watched.map(cost => `${cost.name} (${cost.pid})`).join(' + ')
    lines.push(`CPU and memory of ${names}; descendants' CPU is included, their private memory is in brackets`)
  }
  if (report.waitsForRateLimits > 0 || report.results.some(result => result.rateLimited > 0)) {
    lines.push(
      `Rate limits are on (${report.waitsForRateLimits} waits in setup): switch them off, or the figures measure them.`,
    )
  }
  lines.push(
    'p50, p99 and /s are medians of the windows. Runs differ by 20–30 %: compare ratios, on an otherwise idle machine.',
  )
  if (options.quick) lines.push('A quick run: the windows are too short for figures to quote.')
  return lines
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

function pad(cell: string, width: number, toTheLeft: boolean): string {
  const fill = ' '.repeat(Math.max(0, width - [...cell].length))
  return toTheLeft ? cell + fill : fill + cell
}
