ALTER TABLE runs ADD COLUMN parent_run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN parent_step_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN pause_requested INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN pause_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN resume_from_step TEXT NOT NULL DEFAULT '';
-- The lane it was created in and how many runs that takes, 0 for no limit. A run occupies its lane while it
-- executes, and while it is `holding`: held by an operator, where its function says so, until it executes again.
ALTER TABLE runs ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN lane_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN pause_holds INTEGER NOT NULL DEFAULT 1;
ALTER TABLE runs ADD COLUMN holding INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id <> '';
CREATE INDEX runs_in_lane ON runs (env, function_id, lane)
    WHERE lane_limit > 0 AND (status = 'running' OR holding = 1);
-- The queue is in the order of arrival where there are no lanes, and within each lane.
DROP INDEX runs_queue;
CREATE INDEX runs_queue ON runs (env, function_id, eligible_at, seq)
    WHERE status = 'waiting_for_capacity' AND lane_limit = 0;
CREATE INDEX runs_lanes ON runs (env, function_id, lane, eligible_at, seq)
    WHERE status = 'waiting_for_capacity' AND lane_limit > 0;

ALTER TABLE steps ADD COLUMN input BLOB;
ALTER TABLE steps ADD COLUMN original_output BLOB;
ALTER TABLE steps ADD COLUMN patched_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN patched_by TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN injected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN wait_event TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN wait_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN child_run_id TEXT NOT NULL DEFAULT '';
-- Corrections and redactions name a step by its row alone, so a row's id leads to its run (engine/steps.py).
UPDATE steps SET id = 'step_' || substr(run_id, 5) || '_' || lower(hex(randomblob(6)));

-- All that happens to a run by itself, by the instant it is due. A run waits for one thing at a time:
-- kind is sleep, retry, event (until `due_at` for one named `event` whose text at `path` is `value`)
-- or child (until `due_at` for the end of run `child`). While the run is paused its timer is `held`: what it
-- waits for may come, but its time does not run out under the operator's hands.
CREATE TABLE timers (
    run_id TEXT NOT NULL PRIMARY KEY,
    env TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('sleep', 'retry', 'event', 'child')),
    due_at INTEGER NOT NULL,
    step_id TEXT NOT NULL DEFAULT '',
    event TEXT NOT NULL DEFAULT '',
    path TEXT NOT NULL DEFAULT '',
    value TEXT NOT NULL DEFAULT '',
    child TEXT NOT NULL DEFAULT '',
    child_function TEXT NOT NULL DEFAULT '',
    held INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX timers_due ON timers (due_at) WHERE held = 0;
CREATE INDEX timers_by_event ON timers (env, event, path, value) WHERE kind = 'event';
INSERT INTO timers (run_id, env, kind, due_at, step_id)
SELECT id, env, CASE due_step WHEN '' THEN 'retry' ELSE 'sleep' END, due_at, due_step FROM runs
WHERE due_at IS NOT NULL AND status = 'waiting';
DROP INDEX runs_due;
ALTER TABLE runs DROP COLUMN due_at;
ALTER TABLE runs DROP COLUMN due_step;
UPDATE runs SET pause_reason = 'retries_exhausted' WHERE status = 'paused';

-- Lists of runs, newest first, with bounded work however many are stored: counts tell which pairs of
-- function and status there are, and each pair is in the order of creation.
DROP INDEX runs_by_function;
CREATE INDEX runs_by_time ON runs (env, created_at);
CREATE INDEX runs_by_function ON runs (env, function_id, status, created_at);
CREATE TABLE run_counts (
    env TEXT NOT NULL,
    function_id TEXT NOT NULL,
    status TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (env, function_id, status)
) WITHOUT ROWID;
INSERT INTO run_counts SELECT env, function_id, status, count(*) FROM runs GROUP BY env, function_id, status;
CREATE TRIGGER run_inserted AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts VALUES (NEW.env, NEW.function_id, NEW.status, 1)
    ON CONFLICT (env, function_id, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER run_moved AFTER UPDATE OF status ON runs WHEN OLD.status <> NEW.status BEGIN
    UPDATE run_counts SET n = n - 1
    WHERE env = OLD.env AND function_id = OLD.function_id AND status = OLD.status;
    INSERT INTO run_counts VALUES (NEW.env, NEW.function_id, NEW.status, 1)
    ON CONFLICT (env, function_id, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER run_deleted AFTER DELETE ON runs BEGIN
    UPDATE run_counts SET n = n - 1
    WHERE env = OLD.env AND function_id = OLD.function_id AND status = OLD.status;
END;
-- What stands in place of the event's data once the run has been redacted: the event is not the run's.
ALTER TABLE runs ADD COLUMN input BLOB;

-- Who emitted an event: the credential, and the run it was emitted in.
ALTER TABLE events ADD COLUMN emitted_by TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
CREATE INDEX events_by_name ON events (env, name, seq);
CREATE INDEX events_by_time ON events (env, at, source);

-- One row a change of a function, which outlives the function. The snapshot is its state after the change.
CREATE TABLE function_history (
    env TEXT NOT NULL,
    function_id TEXT NOT NULL,
    entity_version INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    change_type TEXT NOT NULL CHECK (change_type IN ('create', 'update', 'status_change', 'rollback', 'delete')),
    change_reason TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    definition BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (env, function_id, entity_version)
) WITHOUT ROWID;
INSERT INTO function_history
SELECT env, id, 1, 'evt_' || lower(hex(randomblob(12))), 'create', '', '', version, status, definition, created_at,
    updated_at, updated_at
FROM functions;

-- Messages of topics, in the order of their arrival.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    env TEXT NOT NULL,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    data BLOB NOT NULL,
    idempotency_key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX messages_by_topic ON messages (env, topic, seq);
CREATE UNIQUE INDEX messages_by_key ON messages (env, topic, idempotency_key) WHERE idempotency_key <> '';
