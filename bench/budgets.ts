import { type FigureName, type Figures } from './scenario.ts'

/** What a scenario must show on two cores, with database and generator beside the server, its full work switched on. */
export type Budget = {
  /** The result's name, as the table shows it. */
  readonly result: string
  readonly figure: FigureName
  readonly bound: 'at least' | 'at most'
  readonly value: number
}

/** How a figure compares with its budget. */
export type Verdict = { readonly budget: Budget; readonly measured: number | null; readonly isMet: boolean }

/** The budgets. A change that loses one of them needs a reason. */
export const budgets: readonly Budget[] = [
  { result: 'send-1', figure: 'perSecond', bound: 'at least', value: 600 },
  { result: 'send-1', figure: 'p50Ms', bound: 'at most', value: 1.7 },
  { result: 'send-16', figure: 'perSecond', bound: 'at least', value: 2_000 },
  { result: 'send-16', figure: 'p99Ms', bound: 'at most', value: 25 },
  { result: 'send-64', figure: 'perSecond', bound: 'at least', value: 2_500 },
  { result: 'send-64', figure: 'p99Ms', bound: 'at most', value: 60 },
  { result: 'send-one-room', figure: 'perSecond', bound: 'at least', value: 1_500 },
  { result: 'send-visible', figure: 'p50Ms', bound: 'at most', value: 3 },
  { result: 'send-visible', figure: 'p99Ms', bound: 'at most', value: 20 },
  { result: 'fan-out-200', figure: 'p50Ms', bound: 'at most', value: 40 },
  { result: 'fan-out-10000', figure: 'p50Ms', bound: 'at most', value: 600 },
  { result: 'first-sync', figure: 'p50Ms', bound: 'at most', value: 60 },
  { result: 'sync-nothing-new', figure: 'perSecond', bound: 'at least', value: 6_000 },
  { result: 'back-pagination', figure: 'p50Ms', bound: 'at most', value: 12 },
  { result: 'join', figure: 'perSecond', bound: 'at least', value: 300 },
  { result: 'idle-polls', figure: 'kibibytesPerPoll', bound: 'at most', value: 25 },
  { result: 'database-bytes', figure: 'bytesPerMessage', bound: 'at most', value: 1_200 },
  { result: 'memory', figure: 'idleMebibytes', bound: 'at most', value: 160 },
  { result: 'memory', figure: 'finalMebibytes', bound: 'at most', value: 450 },
]

/** Compares a result's figures with its budgets. A figure that could not be measured meets nothing. */
export function judge(result: string, figures: Figures, list: readonly Budget[] = budgets): Verdict[] {
  return list
    .filter(budget => budget.result === result)
    .map(budget => {
      const measured = figures[budget.figure] ?? null
      return { budget, measured, isMet: measured !== null && isWithin(budget, measured) }
    })
}

function isWithin(budget: Budget, measured: number): boolean {
  switch (budget.bound) {
    case 'at least':
      return measured >= budget.value
    case 'at most':
      return measured <= budget.value
  }
}
