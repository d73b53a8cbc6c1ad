-- What the migrations add up to. Written by UPDATE_SCHEMA=1 npm run jest -- test/house/schema.

sequence event_numbers bigint increment 1000 minimum 1000 start 1000
sequence room_numbers bigint increment 16 minimum 16 start 16
sequence snapshot_numbers bigint increment 1000 minimum 1000 start 1000

table access_tokens
  token_hash bytea not null
  user_number integer not null
  device_id text collate C not null
  expires_ts bigint
  refresh_hash bytea
  constraint access_tokens_pkey PRIMARY KEY (token_hash)
  constraint access_tokens_refresh_hash_check CHECK ((octet_length(refresh_hash) = 32))
  constraint access_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
  constraint access_tokens_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE
  CREATE INDEX access_tokens_device ON access_tokens USING btree (user_number, device_id)

table account_data
  user_number integer not null
  room_number integer not null default 0
  type text collate C not null
  content bytea not null
  position bigint not null
  event_number bigint
  constraint account_data_pkey PRIMARY KEY (user_number, room_number, type)
  constraint account_data_type_check CHECK ((octet_length(type) <= 255))
  constraint account_data_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE
  CREATE INDEX account_data_event ON account_data USING btree (event_number) WHERE (event_number IS NOT NULL)
  CREATE INDEX account_data_position ON account_data USING btree (user_number, "position")

table accounts
  user_number integer not null
  password_hash text
  is_admin boolean not null default false
  is_guest boolean not null default false
  is_locked boolean not null default false
  is_suspended boolean not null default false
  is_deactivated boolean not null default false
  is_erased boolean not null default false
  created_on date not null default CURRENT_DATE
  constraint accounts_check CHECK (((NOT is_deactivated) OR (password_hash IS NULL)))
  constraint accounts_pkey PRIMARY KEY (user_number)
  constraint accounts_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE

table admin_audit
  use_number bigint not null generated always as identity
  user_number integer not null
  method text collate C not null
  endpoint text collate C not null
  target_hash bytea
  minute_ts bigint not null
  constraint admin_audit_pkey PRIMARY KEY (use_number)
  constraint admin_audit_target_hash_check CHECK ((octet_length(target_hash) = 16))
  constraint admin_audit_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)
  CREATE INDEX admin_audit_minute ON admin_audit USING btree (minute_ts)

table backed_up_sessions
  user_number integer not null
  version integer not null
  room_id text collate C not null
  session_id text collate C not null
  first_message_index bigint not null
  forwarded_count bigint not null
  is_verified boolean not null
  session_data text not null statistics 0
  constraint backed_up_sessions_pkey PRIMARY KEY (user_number, version, room_id, session_id)
  constraint backed_up_sessions_room_id_check CHECK ((octet_length(room_id) <= 255))
  constraint backed_up_sessions_session_id_check CHECK ((octet_length(session_id) <= 255))
  constraint backed_up_sessions_user_number_version_fkey FOREIGN KEY (user_number, version) REFERENCES key_backups(user_number, version) ON DELETE CASCADE

table background_jobs
  job_id text collate C not null
  kind text collate C not null
  status text collate C not null default 'scheduled'::text
  user_number integer
  target text collate C not null
  request bytea not null
  progress bytea not null
  failure text
  created_ts bigint not null
  ended_ts bigint
  constraint background_jobs_job_id_check CHECK ((octet_length(job_id) <= 64))
  constraint background_jobs_pkey PRIMARY KEY (job_id)
  constraint background_jobs_status_check CHECK ((status = ANY (ARRAY['scheduled'::text, 'active'::text, 'complete'::text, 'failed'::text])))
  constraint background_jobs_target_check CHECK ((octet_length(target) <= 255))
  constraint background_jobs_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)
  CREATE INDEX background_jobs_target ON background_jobs USING btree (target)
  CREATE INDEX background_jobs_waiting ON background_jobs USING btree (created_ts) WHERE (ended_ts IS NULL)

table blocked_rooms
  room_id text collate C not null
  user_number integer
  is_passing boolean not null default false
  constraint blocked_rooms_pkey PRIMARY KEY (room_id)
  constraint blocked_rooms_room_id_check CHECK ((octet_length(room_id) <= 255))
  constraint blocked_rooms_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)

table cross_signing_keys
  user_number integer not null
  usage text collate C not null
  keys text not null
  constraint cross_signing_keys_pkey PRIMARY KEY (user_number, usage)
  constraint cross_signing_keys_usage_check CHECK ((usage = ANY (ARRAY['master'::text, 'self_signing'::text, 'user_signing'::text])))
  constraint cross_signing_keys_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE

table current_state
  room_number integer not null
  type_number integer not null
  state_key_number integer not null
  event_number bigint not null
  constraint current_state_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint current_state_pkey PRIMARY KEY (room_number, type_number, state_key_number)
  constraint current_state_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint current_state_state_key_number_fkey FOREIGN KEY (state_key_number) REFERENCES state_keys(state_key_number)
  constraint current_state_type_number_fkey FOREIGN KEY (type_number) REFERENCES event_types(type_number)
  CREATE INDEX current_state_event ON current_state USING btree (event_number)
  CREATE INDEX current_state_type ON current_state USING btree (type_number)

table dead_seals
  seal bytea not null
  constraint dead_seals_pkey PRIMARY KEY (seal)
  constraint dead_seals_seal_check CHECK ((octet_length(seal) = 10))

table device_keys
  user_number integer not null
  device_id text collate C not null
  keys text not null
  constraint device_keys_pkey PRIMARY KEY (user_number, device_id)
  constraint device_keys_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE

table device_list_changes
  user_number integer not null
  position bigint not null
  constraint device_list_changes_pkey PRIMARY KEY (user_number)
  constraint device_list_changes_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE
  CREATE INDEX device_list_changes_position ON device_list_changes USING btree ("position")

table devices
  user_number integer not null
  device_id text collate C not null
  display_name bytea
  last_seen_on date not null default CURRENT_DATE
  constraint devices_device_id_check CHECK ((octet_length(device_id) <= 255))
  constraint devices_pkey PRIMARY KEY (user_number, device_id)
  constraint devices_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE
  CREATE INDEX devices_last_seen ON devices USING btree (last_seen_on)

table doctor_probes
  secret_hash bytea not null
  expires_ts bigint not null
  constraint doctor_probes_pkey PRIMARY KEY (secret_hash)
  constraint doctor_probes_secret_hash_check CHECK ((octet_length(secret_hash) = 32))

table erasures
  user_number integer not null
  receipt_hash bytea not null
  asked_on date not null
  finished_on date
  room_number integer not null default 0
  position bigint not null default '-9007199254740991'::bigint
  counts text not null
  expires_ts bigint not null
  constraint erasures_pkey PRIMARY KEY (user_number)
  constraint erasures_receipt_hash_check CHECK ((octet_length(receipt_hash) = 32))
  constraint erasures_receipt_hash_key UNIQUE (receipt_hash)
  constraint erasures_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE

table event_relations
  parent_id text collate C not null
  child_number bigint not null
  room_number integer not null
  rel_type text collate C not null
  constraint event_relations_child_number_fkey FOREIGN KEY (child_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint event_relations_parent_id_check CHECK ((octet_length(parent_id) <= 255))
  constraint event_relations_pkey PRIMARY KEY (parent_id, child_number)
  constraint event_relations_rel_type_check CHECK ((octet_length(rel_type) <= 255))
  constraint event_relations_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  CREATE INDEX event_relations_child ON event_relations USING btree (child_number)
  CREATE INDEX event_relations_threads ON event_relations USING btree (room_number, child_number) WHERE (rel_type = 'm.thread'::text)

table event_types
  type_number integer not null generated always as identity
  type text collate C not null
  constraint event_types_pkey PRIMARY KEY (type_number)
  constraint event_types_type_check CHECK ((octet_length(type) <= 510))
  constraint event_types_type_key UNIQUE (type)

table events
  event_number bigint not null
  room_number integer not null
  position bigint
  event_id text collate C not null
  type_number integer not null
  state_key_number integer
  sender_number integer not null
  flags smallint not null default 0
  depth bigint not null
  origin_server_ts bigint not null
  age_ts bigint not null
  snapshot_number bigint
  redacted_by bigint
  body bytea not null statistics 0
  self_destruct_ts bigint
  seal_bucket integer
  pruned bytea
  constraint events_event_id_check CHECK ((octet_length(event_id) <= 255))
  constraint events_event_id_key UNIQUE (event_id)
  constraint events_pkey PRIMARY KEY (event_number)
  constraint events_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint events_sender_number_fkey FOREIGN KEY (sender_number) REFERENCES users(user_number)
  constraint events_state_key_number_fkey FOREIGN KEY (state_key_number) REFERENCES state_keys(state_key_number)
  constraint events_type_number_fkey FOREIGN KEY (type_number) REFERENCES event_types(type_number)
  CREATE INDEX events_age ON events USING btree (room_number, age_ts) WHERE (state_key_number IS NULL)
  CREATE INDEX events_redacted_by ON events USING btree (redacted_by) WHERE (redacted_by IS NOT NULL)
  CREATE INDEX events_seal_bucket ON events USING btree (seal_bucket) WHERE (seal_bucket IS NOT NULL)
  CREATE INDEX events_self_destruct ON events USING btree (self_destruct_ts) WHERE (self_destruct_ts IS NOT NULL)
  CREATE INDEX events_snapshot ON events USING btree (snapshot_number)
  CREATE INDEX events_state_age ON events USING btree (room_number, age_ts) WHERE (state_key_number IS NOT NULL)
  CREATE UNIQUE INDEX events_timeline ON events USING btree (room_number, "position")

table fallback_keys
  user_number integer not null
  device_id text collate C not null
  algorithm text collate C not null
  key_id text collate C not null
  key text not null
  is_used boolean not null default false
  constraint fallback_keys_algorithm_check CHECK ((octet_length(algorithm) <= 255))
  constraint fallback_keys_key_id_check CHECK ((octet_length(key_id) <= 255))
  constraint fallback_keys_pkey PRIMARY KEY (user_number, device_id, algorithm)
  constraint fallback_keys_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE

table filters
  user_number integer not null
  filter_number integer not null
  body bytea not null
  constraint filters_pkey PRIMARY KEY (user_number, filter_number)
  constraint filters_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE

table interactive_auth_sessions
  session_hash bytea not null
  operation text collate C not null
  user_number integer
  body_hash bytea not null
  completed text[] collate C not null default '{}'::text[]
  token text collate C
  expires_ts bigint not null
  constraint interactive_auth_sessions_body_hash_check CHECK ((octet_length(body_hash) = 32))
  constraint interactive_auth_sessions_pkey PRIMARY KEY (session_hash)
  constraint interactive_auth_sessions_session_hash_check CHECK ((octet_length(session_hash) = 32))
  constraint interactive_auth_sessions_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE
  CREATE INDEX interactive_auth_sessions_expires ON interactive_auth_sessions USING btree (expires_ts)
  CREATE INDEX interactive_auth_sessions_token ON interactive_auth_sessions USING btree (token) WHERE (token IS NOT NULL)

table join_links
  token_hash bytea not null
  is_admin boolean not null default false
  uses_allowed integer not null default 1
  uses integer not null default 0
  expires_ts bigint not null
  constraint join_links_pkey PRIMARY KEY (token_hash)
  constraint join_links_token_hash_check CHECK ((octet_length(token_hash) = 32))

table key_backups
  user_number integer not null
  version integer not null
  algorithm text not null
  auth_data text not null
  etag bigint not null default 0
  session_count bigint not null default 0
  is_deleted boolean not null default false
  constraint key_backups_pkey PRIMARY KEY (user_number, version)
  constraint key_backups_session_count_check CHECK ((session_count >= 0))
  constraint key_backups_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE

table key_signatures
  target_number integer not null
  target_key text collate C not null
  signer_number integer not null
  signer_key_id text collate C not null
  signature text not null
  constraint key_signatures_pkey PRIMARY KEY (target_number, target_key, signer_number, signer_key_id)
  constraint key_signatures_signer_key_id_check CHECK ((octet_length(signer_key_id) <= 255))
  constraint key_signatures_signer_number_fkey FOREIGN KEY (signer_number) REFERENCES users(user_number) ON DELETE CASCADE
  constraint key_signatures_target_key_check CHECK ((octet_length(target_key) <= 255))
  constraint key_signatures_target_number_fkey FOREIGN KEY (target_number) REFERENCES users(user_number) ON DELETE CASCADE
  CREATE INDEX key_signatures_signer ON key_signatures USING btree (signer_number)

table log
  position bigint not null
  kind smallint not null
  room_number integer
  user_number integer
  reference bigint
  constraint log_pkey PRIMARY KEY ("position")
  CREATE INDEX log_not_of_events ON log USING btree ("position") WHERE (kind <> 1)

table log_days
  day date not null
  position bigint not null
  constraint log_days_pkey PRIMARY KEY (day)

table log_epochs
  epoch_number integer not null generated always as identity
  epoch text collate C not null
  begins_at bigint not null
  lineage text collate C not null
  constraint log_epochs_epoch_key UNIQUE (epoch)
  constraint log_epochs_pkey PRIMARY KEY (epoch_number)

table log_head with (fillfactor=10)
  only_row boolean not null default true
  position bigint not null default 0
  constraint log_head_only_row_check CHECK (only_row)
  constraint log_head_pkey PRIMARY KEY (only_row)

table login_tokens
  token_hash bytea not null
  user_number integer not null
  expires_ts bigint not null
  constraint login_tokens_pkey PRIMARY KEY (token_hash)
  constraint login_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
  constraint login_tokens_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE

table media
  media_id text collate C not null
  user_number integer not null
  file_name text collate C
  content_type text
  upload_name bytea
  size_bytes bigint
  sha256 bytea
  created_ts bigint not null
  expires_ts bigint
  is_held boolean not null default false
  is_quarantined boolean not null default false
  is_protected boolean not null default false
  constraint media_media_id_check CHECK ((octet_length(media_id) <= 255))
  constraint media_pkey PRIMARY KEY (media_id)
  constraint media_sha256_check CHECK ((octet_length(sha256) = 32))
  constraint media_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)
  CREATE INDEX media_expires ON media USING btree (expires_ts) WHERE (expires_ts IS NOT NULL)
  CREATE INDEX media_loose ON media USING btree (created_ts) WHERE ((NOT is_held) AND (file_name IS NOT NULL))
  CREATE INDEX media_user ON media USING btree (user_number)

table media_references
  reference_number bigint not null generated always as identity
  media_id text collate C not null
  event_number bigint
  user_number integer
  profile_key text collate C
  constraint media_references_check CHECK (((num_nonnulls(event_number, user_number) = 1) AND ((user_number IS NULL) = (profile_key IS NULL))))
  constraint media_references_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint media_references_media_id_fkey FOREIGN KEY (media_id) REFERENCES media(media_id) ON DELETE CASCADE
  constraint media_references_pkey PRIMARY KEY (reference_number)
  constraint media_references_user_number_profile_key_fkey FOREIGN KEY (user_number, profile_key) REFERENCES profiles(user_number, key) ON DELETE CASCADE
  CREATE INDEX media_references_event ON media_references USING btree (event_number) WHERE (event_number IS NOT NULL)
  CREATE INDEX media_references_media ON media_references USING btree (media_id)
  CREATE INDEX media_references_profile ON media_references USING btree (user_number, profile_key) WHERE (user_number IS NOT NULL)
  CREATE TRIGGER media_held AFTER INSERT OR DELETE ON media_references FOR EACH ROW EXECUTE FUNCTION hold_media()

table media_thumbnails
  media_id text collate C not null
  width integer not null
  height integer not null
  method text collate C not null
  is_animated boolean not null default false
  file_name text collate C not null
  content_type text not null
  size_bytes bigint not null
  constraint media_thumbnails_media_id_fkey FOREIGN KEY (media_id) REFERENCES media(media_id) ON DELETE CASCADE
  constraint media_thumbnails_method_check CHECK ((method = ANY (ARRAY['crop'::text, 'scale'::text])))
  constraint media_thumbnails_pkey PRIMARY KEY (media_id, width, height, method, is_animated)

table memberships
  room_number integer not null
  user_number integer not null
  membership text collate C not null
  event_number bigint not null
  position bigint not null
  is_forgotten boolean not null default false
  constraint memberships_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint memberships_membership_check CHECK ((membership = ANY (ARRAY['join'::text, 'invite'::text, 'knock'::text, 'leave'::text, 'ban'::text])))
  constraint memberships_pkey PRIMARY KEY (room_number, user_number)
  constraint memberships_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint memberships_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)
  CREATE INDEX memberships_event ON memberships USING btree (event_number)
  CREATE INDEX memberships_forgotten ON memberships USING btree (room_number) WHERE is_forgotten
  CREATE INDEX memberships_invited ON memberships USING btree (event_number) WHERE (membership = 'invite'::text)
  CREATE INDEX memberships_user ON memberships USING btree (user_number, membership)

table one_time_keys
  user_number integer not null
  device_id text collate C not null
  algorithm text collate C not null
  key_id text collate C not null
  key_number bigint not null generated always as identity
  key text not null
  constraint one_time_keys_algorithm_check CHECK ((octet_length(algorithm) <= 255))
  constraint one_time_keys_key_id_check CHECK ((octet_length(key_id) <= 255))
  constraint one_time_keys_pkey PRIMARY KEY (user_number, device_id, algorithm, key_id)
  constraint one_time_keys_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE
  CREATE INDEX one_time_keys_order ON one_time_keys USING btree (user_number, device_id, algorithm, key_number)

table page_sessions
  token_hash bytea not null
  user_number integer not null
  expires_ts bigint not null
  constraint page_sessions_pkey PRIMARY KEY (token_hash)
  constraint page_sessions_token_hash_check CHECK ((octet_length(token_hash) = 32))
  constraint page_sessions_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE
  CREATE INDEX page_sessions_expires ON page_sessions USING btree (expires_ts)
  CREATE INDEX page_sessions_user ON page_sessions USING btree (user_number)

table profiles
  user_number integer not null
  key text collate C not null
  value bytea not null
  constraint profiles_key_check CHECK ((octet_length(key) <= 255))
  constraint profiles_pkey PRIMARY KEY (user_number, key)
  constraint profiles_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE

table receipts
  room_number integer not null
  user_number integer not null
  receipt_type text collate C not null
  thread_id text collate C not null default ''::text
  event_number bigint not null
  read_ts bigint not null
  position bigint not null
  constraint receipts_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint receipts_pkey PRIMARY KEY (room_number, user_number, receipt_type, thread_id)
  constraint receipts_receipt_type_check CHECK ((receipt_type = ANY (ARRAY['m.read'::text, 'm.read.private'::text])))
  constraint receipts_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint receipts_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number) ON DELETE CASCADE
  CREATE INDEX receipts_event ON receipts USING btree (event_number)
  CREATE INDEX receipts_position ON receipts USING btree (room_number, "position")

table recovery_codes
  user_number integer not null
  code_hash bytea not null
  constraint recovery_codes_code_hash_check CHECK ((octet_length(code_hash) = 32))
  constraint recovery_codes_pkey PRIMARY KEY (user_number)
  constraint recovery_codes_user_number_fkey FOREIGN KEY (user_number) REFERENCES accounts(user_number) ON DELETE CASCADE

table refresh_tokens
  family_hash bytea not null
  user_number integer not null
  device_id text collate C not null
  current_hash bytea not null
  previous_hash bytea
  expires_ts bigint not null
  constraint refresh_tokens_current_hash_check CHECK ((octet_length(current_hash) = 32))
  constraint refresh_tokens_family_hash_check CHECK ((octet_length(family_hash) = 32))
  constraint refresh_tokens_pkey PRIMARY KEY (family_hash)
  constraint refresh_tokens_previous_hash_check CHECK ((octet_length(previous_hash) = 32))
  constraint refresh_tokens_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE
  constraint refresh_tokens_user_number_device_id_key UNIQUE (user_number, device_id)
  CREATE INDEX refresh_tokens_expires ON refresh_tokens USING btree (expires_ts)

table registration_tokens
  token text collate C not null
  uses_allowed integer
  completed integer not null default 0
  expires_ts bigint
  constraint registration_tokens_completed_check CHECK ((completed >= 0))
  constraint registration_tokens_pkey PRIMARY KEY (token)
  constraint registration_tokens_token_check CHECK ((octet_length(token) <= 64))
  constraint registration_tokens_uses_allowed_check CHECK ((uses_allowed >= 0))

table reports
  report_number bigint not null generated always as identity
  user_number integer not null
  room_number integer
  event_id text collate C
  reported_number integer
  reason bytea not null
  score integer
  received_ts bigint not null
  constraint reports_event_id_check CHECK ((octet_length(event_id) <= 255))
  constraint reports_pkey PRIMARY KEY (report_number)
  constraint reports_reported_number_fkey FOREIGN KEY (reported_number) REFERENCES users(user_number)
  constraint reports_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint reports_user_number_fkey FOREIGN KEY (user_number) REFERENCES users(user_number)
  CREATE INDEX reports_event ON reports USING btree (event_id) WHERE (event_id IS NOT NULL)
  CREATE INDEX reports_received ON reports USING btree (received_ts)
  CREATE INDEX reports_room ON reports USING btree (room_number)

table retention_overrides
  room_number integer not null
  max_lifetime bigint
  min_lifetime bigint
  constraint retention_overrides_check CHECK ((min_lifetime <= max_lifetime))
  constraint retention_overrides_max_lifetime_check CHECK ((max_lifetime > 0))
  constraint retention_overrides_min_lifetime_check CHECK ((min_lifetime > 0))
  constraint retention_overrides_pkey PRIMARY KEY (room_number)
  constraint retention_overrides_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE

table room_aliases
  alias text collate C not null
  room_number integer not null
  creator_number integer not null
  constraint room_aliases_alias_check CHECK ((octet_length(alias) <= 255))
  constraint room_aliases_creator_number_fkey FOREIGN KEY (creator_number) REFERENCES users(user_number)
  constraint room_aliases_pkey PRIMARY KEY (alias)
  constraint room_aliases_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  CREATE INDEX room_aliases_room ON room_aliases USING btree (room_number)

table rooms with (fillfactor=50)
  room_number integer not null
  room_id text collate C not null
  version text collate C not null
  head_version bigint not null default 0
  snapshot_number bigint
  forward_extremities bigint[] not null default '{}'::bigint[]
  depth bigint not null default 0
  oldest_position bigint not null default 0
  is_public boolean not null default false
  constraint rooms_pkey PRIMARY KEY (room_number)
  constraint rooms_room_id_check CHECK ((octet_length(room_id) <= 255))
  constraint rooms_room_id_key UNIQUE (room_id)

table schema_migrations
  name text collate C not null
  checksum text collate C not null
  applied_on date not null default CURRENT_DATE
  constraint schema_migrations_pkey PRIMARY KEY (name)

table server
  only_row boolean not null default true
  server_name text collate C not null
  created_on date not null default CURRENT_DATE
  keyring_id text collate C
  keyring_serial bigint not null default 0
  next_chunk bigint not null default 0
  is_set_back boolean not null default false
  keyring_intent bytea
  keyring_generation smallint
  constraint server_keyring_intent_check CHECK ((octet_length(keyring_intent) = 32))
  constraint server_only_row_check CHECK (only_row)
  constraint server_pkey PRIMARY KEY (only_row)

table state_changes
  room_number integer not null
  position bigint not null
  type_number integer not null
  state_key_number integer not null
  event_number bigint
  constraint state_changes_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint state_changes_pkey PRIMARY KEY (room_number, "position", type_number, state_key_number)
  constraint state_changes_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  constraint state_changes_state_key_number_fkey FOREIGN KEY (state_key_number) REFERENCES state_keys(state_key_number)
  constraint state_changes_type_number_fkey FOREIGN KEY (type_number) REFERENCES event_types(type_number)
  CREATE INDEX state_changes_event ON state_changes USING btree (event_number)
  CREATE INDEX state_changes_pair ON state_changes USING btree (room_number, type_number, state_key_number, "position")

table state_keys
  state_key_number integer not null generated always as identity
  state_key text collate C not null
  constraint state_keys_pkey PRIMARY KEY (state_key_number)
  constraint state_keys_state_key_check CHECK ((octet_length(state_key) <= 510))
  constraint state_keys_state_key_key UNIQUE (state_key)

table state_snapshots
  snapshot_number bigint not null
  room_number integer not null
  base_number bigint
  added bigint[] not null default '{}'::bigint[]
  removed bigint[] not null default '{}'::bigint[]
  constraint state_snapshots_base_number_fkey FOREIGN KEY (base_number) REFERENCES state_snapshots(snapshot_number)
  constraint state_snapshots_pkey PRIMARY KEY (snapshot_number)
  constraint state_snapshots_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  CREATE INDEX state_snapshots_base ON state_snapshots USING btree (base_number) WHERE (base_number IS NOT NULL)
  CREATE INDEX state_snapshots_room ON state_snapshots USING btree (room_number)

table superseded_state
  event_number bigint not null
  room_number integer not null
  age_ts bigint not null
  constraint superseded_state_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint superseded_state_pkey PRIMARY KEY (event_number)
  constraint superseded_state_room_number_fkey FOREIGN KEY (room_number) REFERENCES rooms(room_number) ON DELETE CASCADE
  CREATE INDEX superseded_state_age ON superseded_state USING btree (room_number, age_ts)

table sweeps
  only_row boolean not null default true
  started_ts bigint
  ended_ts bigint
  duration_ms bigint
  deleted text not null default '{}'::text
  constraint sweeps_only_row_check CHECK (only_row)
  constraint sweeps_pkey PRIMARY KEY (only_row)

table to_device_messages
  position bigint not null
  user_number integer not null
  device_id text collate C not null
  sender_number integer not null
  type text collate C not null
  content bytea not null
  sent_on date not null default CURRENT_DATE
  constraint to_device_messages_pkey PRIMARY KEY ("position")
  constraint to_device_messages_sender_number_fkey FOREIGN KEY (sender_number) REFERENCES users(user_number)
  constraint to_device_messages_user_number_device_id_fkey FOREIGN KEY (user_number, device_id) REFERENCES devices(user_number, device_id) ON DELETE CASCADE
  CREATE INDEX to_device_messages_device ON to_device_messages USING btree (user_number, device_id, "position")

table transactions
  request_hash bytea not null
  event_number bigint
  device_id text collate C
  transaction_id text collate C not null
  sent_on date not null default CURRENT_DATE
  constraint transactions_event_number_fkey FOREIGN KEY (event_number) REFERENCES events(event_number) ON DELETE CASCADE
  constraint transactions_pkey PRIMARY KEY (request_hash)
  constraint transactions_request_hash_check CHECK ((octet_length(request_hash) = 16))
  CREATE INDEX transactions_event ON transactions USING btree (event_number)
  CREATE INDEX transactions_sent ON transactions USING btree (sent_on)

table unreferenced_files
  file_name text collate C not null
  remove_ts bigint not null
  constraint unreferenced_files_pkey PRIMARY KEY (file_name)
  CREATE INDEX unreferenced_files_remove ON unreferenced_files USING btree (remove_ts)

table users
  user_number integer not null generated always as identity
  user_id text collate C not null
  is_local boolean not null
  constraint users_pkey PRIMARY KEY (user_number)
  constraint users_user_id_check CHECK ((octet_length(user_id) <= 255))
  constraint users_user_id_key UNIQUE (user_id)

CREATE OR REPLACE FUNCTION public.hold_media()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE media SET is_held = true, expires_ts = CASE WHEN file_name IS NULL THEN expires_ts END
    WHERE media_id = NEW.media_id AND (NOT is_held OR expires_ts IS NOT NULL AND file_name IS NOT NULL);
  ELSE
    UPDATE media SET is_held = false, expires_ts = 0
    WHERE media_id = OLD.media_id
      AND NOT EXISTS (SELECT FROM media_references r WHERE r.media_id = OLD.media_id);
  END IF;
  RETURN NULL;
END $function$

CREATE OR REPLACE FUNCTION public.move_room_heads(numbers integer[], expected bigint[], versions bigint[], snapshots bigint[], extremities text[], depths bigint[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  moved integer;
BEGIN
  IF cardinality(numbers) > 1 THEN
    PERFORM 1 FROM rooms WHERE room_number = ANY (numbers) ORDER BY room_number FOR UPDATE;
  END IF;
  UPDATE rooms SET head_version = head.version, snapshot_number = head.snapshot,
    forward_extremities = head.extremities::bigint[], depth = head.depth
  FROM unnest(numbers, expected, versions, snapshots, extremities, depths)
    AS head (number, expected, version, snapshot, extremities, depth)
  WHERE rooms.room_number = head.number AND rooms.head_version = head.expected;
  GET DIAGNOSTICS moved = ROW_COUNT;
  IF moved <> cardinality(numbers) THEN
    RAISE EXCEPTION 'a room has moved' USING ERRCODE = 'LT001';
  END IF;
END $function$
