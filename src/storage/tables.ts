import { type Generated, type GeneratedAlways } from 'kysely'

/** The tables of sql/, as Kysely sees them. Dates are strings (YYYY-MM-DD), bigints are numbers. */
export interface Tables {
  server: {
    only_row: Generated<boolean>
    server_name: string
    created_on: Generated<string>
    keyring_id: string | null
    keyring_serial: Generated<number>
    next_chunk: Generated<number>
    is_set_back: Generated<boolean>
    keyring_intent: Buffer | null
    keyring_generation: number | null
  }
  doctor_probes: {
    secret_hash: Buffer
    expires_ts: number
  }
  dead_seals: {
    seal: Buffer
  }
  log_head: {
    only_row: Generated<boolean>
    position: Generated<number>
  }
  log: {
    position: number
    kind: number
    room_number: number | null
    user_number: number | null
    reference: number | null
  }
  sweeps: {
    only_row: Generated<boolean>
    started_ts: number | null
    ended_ts: number | null
    duration_ms: number | null
    deleted: Generated<string>
  }
  log_epochs: {
    epoch_number: GeneratedAlways<number>
    epoch: string
    begins_at: number
    lineage: string
  }
  log_days: {
    day: string
    position: number
  }
  users: {
    user_number: GeneratedAlways<number>
    user_id: string
    is_local: boolean
  }
  accounts: {
    user_number: number
    password_hash: string | null
    is_admin: Generated<boolean>
    is_guest: Generated<boolean>
    is_locked: Generated<boolean>
    is_suspended: Generated<boolean>
    is_deactivated: Generated<boolean>
    is_erased: Generated<boolean>
    created_on: Generated<string>
  }
  devices: {
    user_number: number
    device_id: string
    display_name: Buffer | null
    last_seen_on: Generated<string>
  }
  access_tokens: {
    token_hash: Buffer
    user_number: number
    device_id: string
    expires_ts: number | null
    refresh_hash: Buffer | null
  }
  refresh_tokens: {
    family_hash: Buffer
    user_number: number
    device_id: string
    current_hash: Buffer
    previous_hash: Buffer | null
    expires_ts: number
  }
  login_tokens: {
    token_hash: Buffer
    user_number: number
    expires_ts: number
  }
  recovery_codes: {
    user_number: number
    code_hash: Buffer
  }
  registration_tokens: {
    token: string
    uses_allowed: number | null
    completed: Generated<number>
    expires_ts: number | null
  }
  join_links: {
    token_hash: Buffer
    is_admin: Generated<boolean>
    uses_allowed: Generated<number>
    uses: Generated<number>
    expires_ts: number
  }
  interactive_auth_sessions: {
    session_hash: Buffer
    operation: string
    user_number: number | null
    body_hash: Buffer
    completed: Generated<string[]>
    token: string | null
    expires_ts: number
  }
  page_sessions: {
    token_hash: Buffer
    user_number: number
    expires_ts: number
  }
  erasures: {
    user_number: number
    receipt_hash: Buffer
    asked_on: string
    finished_on: string | null
    room_number: Generated<number>
    position: Generated<number>
    counts: string
    expires_ts: number
  }
  profiles: {
    user_number: number
    key: string
    value: Buffer
  }
  filters: {
    user_number: number
    filter_number: number
    body: Buffer
  }
  account_data: {
    user_number: number
    room_number: Generated<number>
    type: string
    content: Buffer
    position: number
    event_number: number | null
  }
  rooms: {
    room_number: number
    room_id: string
    version: string
    head_version: Generated<number>
    snapshot_number: number | null
    forward_extremities: Generated<number[]>
    depth: Generated<number>
    oldest_position: Generated<number>
    is_public: Generated<boolean>
  }
  event_types: {
    type_number: GeneratedAlways<number>
    type: string
  }
  state_keys: {
    state_key_number: GeneratedAlways<number>
    state_key: string
  }
  events: {
    event_number: number
    room_number: number
    position: number | null
    event_id: string
    type_number: number
    state_key_number: number | null
    sender_number: number
    flags: Generated<number>
    depth: number
    origin_server_ts: number
    age_ts: number
    self_destruct_ts: number | null
    snapshot_number: number | null
    redacted_by: number | null
    body: Buffer
    seal_bucket: number | null
    pruned: Buffer | null
  }
  superseded_state: {
    event_number: number
    room_number: number
    age_ts: number
  }
  retention_overrides: {
    room_number: number
    max_lifetime: number | null
    min_lifetime: number | null
  }
  state_snapshots: {
    snapshot_number: number
    room_number: number
    base_number: number | null
    added: Generated<number[]>
    removed: Generated<number[]>
  }
  current_state: {
    room_number: number
    type_number: number
    state_key_number: number
    event_number: number
  }
  state_changes: {
    room_number: number
    position: number
    type_number: number
    state_key_number: number
    event_number: number | null
  }
  memberships: {
    room_number: number
    user_number: number
    membership: string
    event_number: number
    position: number
    is_forgotten: Generated<boolean>
  }
  event_relations: {
    parent_id: string
    child_number: number
    room_number: number
    rel_type: string
  }
  transactions: {
    request_hash: Buffer
    event_number: number | null
    device_id: string | null
    transaction_id: string
    sent_on: Generated<string>
  }
  receipts: {
    room_number: number
    user_number: number
    receipt_type: string
    thread_id: Generated<string>
    event_number: number
    read_ts: number
    position: number
  }
  room_aliases: {
    alias: string
    room_number: number
    creator_number: number
  }
  to_device_messages: {
    position: number
    user_number: number
    device_id: string
    sender_number: number
    type: string
    content: Buffer
    sent_on: Generated<string>
  }
  device_keys: {
    user_number: number
    device_id: string
    keys: string
  }
  one_time_keys: {
    user_number: number
    device_id: string
    algorithm: string
    key_id: string
    key_number: GeneratedAlways<number | null>
    key: string
  }
  fallback_keys: {
    user_number: number
    device_id: string
    algorithm: string
    key_id: string
    key: string
    is_used: Generated<boolean>
  }
  cross_signing_keys: {
    user_number: number
    usage: string
    keys: string
  }
  key_signatures: {
    target_number: number
    target_key: string
    signer_number: number
    signer_key_id: string
    signature: string
  }
  device_list_changes: {
    user_number: number
    position: number
  }
  key_backups: {
    user_number: number
    version: number
    algorithm: string
    auth_data: string
    etag: Generated<number>
    session_count: Generated<number>
    is_deleted: Generated<boolean>
  }
  backed_up_sessions: {
    user_number: number
    version: number
    room_id: string
    session_id: string
    first_message_index: number
    forwarded_count: number
    is_verified: boolean
    session_data: string
  }
  media: {
    media_id: string
    user_number: number
    file_name: string | null
    content_type: string | null
    upload_name: Buffer | null
    size_bytes: number | null
    sha256: Buffer | null
    created_ts: number
    expires_ts: number | null
    is_quarantined: Generated<boolean>
    is_protected: Generated<boolean>
    is_held: Generated<boolean>
  }
  media_references: {
    reference_number: GeneratedAlways<number>
    media_id: string
    event_number: number | null
    user_number: number | null
    profile_key: string | null
  }
  media_thumbnails: {
    media_id: string
    width: number
    height: number
    method: string
    is_animated: Generated<boolean>
    file_name: string
    content_type: string
    size_bytes: number
  }
  unreferenced_files: {
    file_name: string
    remove_ts: number
  }
  admin_audit: {
    use_number: GeneratedAlways<number>
    user_number: number
    method: string
    endpoint: string
    target_hash: Buffer | null
    minute_ts: number
  }
  background_jobs: {
    job_id: string
    kind: string
    status: Generated<string>
    user_number: number | null
    target: string
    request: Buffer
    progress: Buffer
    failure: string | null
    created_ts: number
    ended_ts: number | null
  }
  blocked_rooms: {
    room_id: string
    user_number: number | null
    is_passing: Generated<boolean>
  }
  reports: {
    report_number: GeneratedAlways<number>
    user_number: number
    room_number: number | null
    event_id: string | null
    reported_number: number | null
    reason: Buffer
    score: number | null
    received_ts: number
  }
}
