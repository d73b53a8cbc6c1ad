/** The command line was wrong, or named a target that this generator refuses to load. Ends the run with code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** A scenario could not be measured: its setup was refused, or the server answered something unusable. */
export class ScenarioError extends Error {
  override name = 'ScenarioError'
}
