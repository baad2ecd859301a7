-- Every statement that changes a row, by name; the engine's decisions name them.

-- name: save_function
INSERT INTO functions (env, id, version, status, definition, created_at, updated_at)
VALUES (:env, :id, :version, :status, :definition, :created_at, :updated_at)
ON CONFLICT (env, id) DO UPDATE SET
    version = excluded.version, status = excluded.status, definition = excluded.definition,
    updated_at = excluded.updated_at;

-- name: insert_event
INSERT INTO events (env, id, name, data, metadata, version, source, idempotency_key, at)
VALUES (:env, :id, :name, :data, :metadata, :version, :source, :idempotency_key, :at);

-- name: insert_run
INSERT INTO runs (env, id, function_id, function_version, event_id, status, max_attempts, policy, timeout_ms,
    recording, created_at, updated_at, eligible_at)
VALUES (:env, :id, :function_id, :function_version, :event_id, 'waiting_for_capacity', :max_attempts, :policy,
    :timeout_ms, :recording, :now, :now, :now);

-- name: claim_run
-- A new fence: whatever an earlier holder of the run sends from now on is refused.
UPDATE runs SET status = 'running', execution_seq = :execution_seq, lease_token = :lease_token,
    worker_id = :worker_id, claimed_at = :now, updated_at = :now, due_at = NULL, due_step = '',
    started_at = CASE started_at WHEN 0 THEN :now ELSE started_at END
WHERE id = :id;

-- name: move_run
-- The last error stays readable while a run waits for its next attempt; only success removes it.
UPDATE runs SET status = :status, executed_ns = :executed_ns, attempt = :attempt, output = :output,
    error = CASE :status WHEN 'completed' THEN NULL ELSE coalesce(:error, error) END,
    lease_token = '', claimed_at = 0, eligible_at = :now, due_at = :due_at, due_step = :due_step,
    ended_at = :ended_at, cancellation_cause = :cause, updated_at = :now
WHERE id = :id;

-- name: touch_run
UPDATE runs SET updated_at = :now WHERE id = :id;

-- name: recount_run
UPDATE runs SET executed_ns = :executed_ns, claimed_at = :now, updated_at = :now WHERE id = :id;

-- name: save_step
-- A step reported again keeps its row, its place and its birth.
INSERT INTO steps (run_id, step_id, id, name, type, sequence, status, attempt, output, error, started_at, ended_at,
    duration_ms, sleep_until, compensation_for, created_at, updated_at)
VALUES (:run_id, :step_id, :id, :name, :type, :sequence, :status, :attempt, :output, :error, :started_at, :ended_at,
    :duration_ms, :sleep_until, :compensation_for, :now, :now)
ON CONFLICT (run_id, step_id) DO UPDATE SET
    name = excluded.name, type = excluded.type, status = excluded.status, attempt = excluded.attempt,
    output = excluded.output, error = excluded.error, started_at = excluded.started_at,
    ended_at = excluded.ended_at, duration_ms = excluded.duration_ms, sleep_until = excluded.sleep_until,
    compensation_for = excluded.compensation_for, updated_at = excluded.updated_at;

-- name: finish_sleep
UPDATE steps SET status = 'completed', output = CAST('null' AS BLOB), ended_at = :now, updated_at = :now,
    duration_ms = max((:now - started_at) / 1000000, 0)
WHERE run_id = :run_id AND step_id = :step_id AND status = 'sleeping';

-- name: save_worker
INSERT INTO workers (env, id, function_ids, instance_id, max_concurrent, hostname, labels, version, registered_at)
VALUES (:env, :id, :function_ids, :instance_id, :max_concurrent, :hostname, :labels, :version, :now)
ON CONFLICT (env, id) DO UPDATE SET
    function_ids = excluded.function_ids, instance_id = excluded.instance_id,
    max_concurrent = excluded.max_concurrent, hostname = excluded.hostname, labels = excluded.labels,
    version = excluded.version, registered_at = excluded.registered_at;

-- name: insert_audit
INSERT INTO audit (env, id, run_id, function_id, step_id, type, payload, at)
VALUES (:env, :id, :run_id, :function_id, :step_id, :type, :payload, :at);
