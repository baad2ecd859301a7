-- Instants are nanoseconds since 1970 UTC; 0 means "not yet". JSON is stored as the bytes that travel.
CREATE TABLE functions (
    env TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    definition BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (env, id)
) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    env TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    metadata BLOB,
    version INTEGER NOT NULL,
    source TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE UNIQUE INDEX events_by_key ON events (env, idempotency_key) WHERE idempotency_key <> '';

CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    env TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    function_id TEXT NOT NULL,
    function_version INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN
        ('waiting_for_capacity', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 1,
    max_attempts INTEGER NOT NULL,
    policy BLOB NOT NULL,
    timeout_ms INTEGER NOT NULL,
    executed_ns INTEGER NOT NULL DEFAULT 0,
    output BLOB,
    error BLOB,
    worker_id TEXT NOT NULL DEFAULT '',
    execution_seq INTEGER NOT NULL DEFAULT 0,
    lease_token TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL DEFAULT 0,
    ended_at INTEGER NOT NULL DEFAULT 0,
    claimed_at INTEGER NOT NULL DEFAULT 0,
    eligible_at INTEGER NOT NULL,
    due_at INTEGER,
    due_step TEXT NOT NULL DEFAULT '',
    cancellation_cause TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_queue ON runs (env, function_id, eligible_at, seq) WHERE status = 'waiting_for_capacity';
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_in_hand ON runs (worker_id) WHERE status = 'running';
CREATE INDEX runs_by_event ON runs (event_id);
CREATE INDEX runs_by_function ON runs (env, function_id, seq);

CREATE TABLE steps (
    run_id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    output BLOB,
    error BLOB,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    sleep_until INTEGER NOT NULL,
    compensation_for TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, step_id)
) WITHOUT ROWID;

CREATE TABLE workers (
    env TEXT NOT NULL,
    id TEXT NOT NULL,
    function_ids BLOB NOT NULL,
    instance_id TEXT NOT NULL,
    max_concurrent INTEGER NOT NULL,
    hostname TEXT NOT NULL,
    labels BLOB NOT NULL,
    version BLOB NOT NULL,
    registered_at INTEGER NOT NULL,
    PRIMARY KEY (env, id)
) WITHOUT ROWID;
