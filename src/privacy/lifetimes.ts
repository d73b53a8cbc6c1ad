/** How long the receipt of an erased account waits to be fetched. */
export const receiptLifetimeMs = 30 * 24 * 3_600_000

/** How many days rows live whose age alone decides. The sweeper deletes them then, and the inventory says so. */
export const lifetimeDays = {
  /** Requests with a transaction ID: for as long as a client may still repeat one. */
  transactions: 2,
  /** To-device messages that no device fetches. */
  to_device_messages: 30,
  /** What the log says of anything but events. */
  log: 7,
  /** Where the log stood on a day. */
  log_days: 7,
  /** What administrators did, so that others can see it. */
  admin_audit: 90,
  /** Work that they ordered, counted from the order. */
  background_jobs: 7,
  /** What users reported to them. */
  reports: 30,
} as const
