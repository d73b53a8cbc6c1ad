/** Where the keyring lies: outside of the database, so that no copy of the database can be opened with itself. */
export interface KeyringStore {
  /** The bytes that were written last; `null` if there are none. Throws `KeyringError` when they cannot be read. */
  read(): Promise<Buffer | null>
  /**
   * Puts these bytes in place of those before: durable when the promise resolves, and at any moment the store holds the
   * old or the new, whole. What was replaced is destroyed as far as the store can.
   */
  write(bytes: Buffer): Promise<void>
  /** For the operator: where it is. */
  readonly place: string
}
