import { type Options } from '../options.ts'
import { type Scenario } from '../scenario.ts'
import { databaseScenario } from './database.ts'
import { fanOut } from './fan-out.ts'
import { keysScenario } from './keys.ts'
import { paginationScenario } from './pagination.ts'
import { registerScenario } from './register.ts'
import { createScenario, joinScenario } from './rooms.ts'
import { oneRoom, ownRooms } from './sends.ts'
import { firstSyncScenario, idlePollsScenario, nothingNewScenario } from './syncs.ts'
import { visibleScenario } from './visible.ts'

/** Every scenario, in the order in which they run: what grows the accounts' room lists comes late. */
export function allScenarios(options: Pick<Options, 'fanOut'>): readonly Scenario[] {
  return [
    registerScenario,
    nothingNewScenario,
    idlePollsScenario,
    ownRooms(1),
    ownRooms(16),
    ownRooms(64),
    oneRoom(16),
    visibleScenario,
    ...options.fanOut.map(fanOut),
    firstSyncScenario,
    paginationScenario,
    keysScenario,
    joinScenario,
    createScenario,
    databaseScenario,
  ]
}
