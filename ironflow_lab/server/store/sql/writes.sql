-- Every statement that changes a row, by name; the engine's decisions name them.

-- name: insert_run
INSERT INTO runs (env, id, function_id, function_version, event_id, status, max_attempts, policy, timeout_ms,
    recording, parent_run_id, parent_step_id, lane, lane_limit, pause_holds, created_at, updated_at, eligible_at)
VALUES (:env, :id, :function_id, :function_version, :event_id, 'waiting_for_capacity', :max_attempts, :policy,
    :timeout_ms, :recording, :parent_run_id, :parent_step_id, :lane, :lane_limit, :pause_holds, :now, :now, :now);

-- name: claim_run
-- A new fence: whatever an earlier holder of the run sends from now on is refused.
UPDATE runs SET status = 'running', execution_seq = :execution_seq, lease_token = :lease_token,
    worker_id = :worker_id, claimed_at = :now, updated_at = :now, holding = 0,
    started_at = CASE started_at WHEN 0 THEN :now ELSE started_at END
WHERE id = :id;

-- name: move_run
-- The last error stays readable while a run waits for its next attempt; only success removes it.
UPDATE runs SET status = :status, executed_ns = :executed_ns, attempt = :attempt, output = :output,
    error = CASE :status WHEN 'completed' THEN NULL ELSE coalesce(:error, error) END,
    lease_token = '', claimed_at = 0, eligible_at = :now, ended_at = :ended_at, cancellation_cause = :cause,
    pause_requested = 0, pause_reason = :pause_reason, holding = :holding,
    resume_from_step = coalesce(:resume_from, resume_from_step), updated_at = :now
WHERE id = :id;

-- name: ask_to_pause
UPDATE runs SET pause_requested = 1, updated_at = :now WHERE id = :id;

-- name: set_timer
INSERT OR REPLACE INTO timers (run_id, env, kind, due_at, step_id, event, path, value, child, child_function, held)
VALUES (:run_id, :env, :kind, :due_at, :step_id, :event, :path, :value, :child, :child_function, :held);

-- name: hold_timer
UPDATE timers SET held = :held WHERE run_id = :run_id;

-- name: clear_timer
DELETE FROM timers WHERE run_id = :run_id;

-- name: touch_run
UPDATE runs SET updated_at = :now WHERE id = :id;

-- name: recount_run
UPDATE runs SET executed_ns = :executed_ns, claimed_at = :now, updated_at = :now WHERE id = :id;

-- name: save_step
-- A step reported again keeps its row, its place and its birth; one that is completed stays as it is.
INSERT INTO steps (run_id, step_id, id, name, type, sequence, status, attempt, input, output, error, started_at,
    ended_at, duration_ms, sleep_until, wait_event, wait_until, child_run_id, compensation_for, created_at, updated_at)
VALUES (:run_id, :step_id, :id, :name, :type, :sequence, :status, :attempt, :input, :output, :error, :started_at,
    :ended_at, :duration_ms, :sleep_until, :wait_event, :wait_until, :child_run_id, :compensation_for, :now, :now)
ON CONFLICT (run_id, step_id) DO UPDATE SET
    name = excluded.name, type = excluded.type, status = excluded.status, attempt = excluded.attempt,
    input = excluded.input, output = excluded.output, error = excluded.error, started_at = excluded.started_at,
    ended_at = excluded.ended_at, duration_ms = excluded.duration_ms, sleep_until = excluded.sleep_until,
    wait_event = excluded.wait_event, wait_until = excluded.wait_until, child_run_id = excluded.child_run_id,
    compensation_for = excluded.compensation_for, updated_at = excluded.updated_at
WHERE steps.status <> 'completed';

-- name: end_step
UPDATE steps SET status = :status, output = :output, error = :error, ended_at = :ended_at, updated_at = :ended_at,
    duration_ms = :duration_ms
WHERE run_id = :run_id AND step_id = :step_id;

-- name: correct_step
UPDATE steps SET status = 'completed', output = :output, error = NULL, original_output = :original,
    patched_at = CASE :patched WHEN 1 THEN :now ELSE patched_at END,
    patched_by = CASE :patched WHEN 1 THEN :by ELSE patched_by END,
    injected = CASE :patched WHEN 1 THEN injected ELSE 1 END, updated_at = :now
WHERE run_id = :run_id AND step_id = :step_id;

-- name: discard_step
-- What is left is its place: the step will be executed again.
UPDATE steps SET status = 'pending', input = NULL, output = NULL, error = NULL, original_output = NULL, patched_at = 0,
    patched_by = '', injected = 0, started_at = 0, ended_at = 0, duration_ms = 0, sleep_until = 0, wait_event = '',
    wait_until = 0, child_run_id = '', updated_at = :now
WHERE run_id = :run_id AND step_id = :step_id;

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
