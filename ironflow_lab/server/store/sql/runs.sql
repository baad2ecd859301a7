-- Runs and their steps as clients read them, on connections that cannot write.

-- name: columns
SELECT r.id, r.function_id, r.event_id, e.name, r.worker_id, coalesce(r.input, e.data), r.output, r.error, r.status,
    r.attempt, r.max_attempts, r.started_at, r.ended_at, r.created_at, r.updated_at, r.function_version, r.env,
    r.execution_seq, r.claimed_at, r.cancellation_cause, r.timeout_ms, r.executed_ns, r.pause_reason,
    r.pause_requested, r.parent_run_id, r.parent_step_id, r.resume_from_step, coalesce(t.kind, ''), r.seq
FROM runs r JOIN events e ON e.id = r.event_id LEFT JOIN timers t ON t.run_id = r.id

-- name: one
WHERE r.env = :env AND r.id = :id

-- name: of_event
WHERE +r.env = :env AND r.event_id = :event_id ORDER BY r.created_at DESC, r.seq DESC

-- name: these
WHERE r.seq IN (SELECT value FROM json_each(:seqs)) ORDER BY r.created_at DESC, r.seq DESC

-- name: exists
SELECT 1 FROM runs WHERE env = :env AND id = :id

-- name: results
SELECT id, function_id, status, output, error, created_at, ended_at FROM runs
WHERE env = :env AND id IN (SELECT value FROM json_each(:ids)) ORDER BY seq

-- name: steps
SELECT id, run_id, step_id, type, sequence, status, output, error, attempt, duration_ms, started_at, ended_at,
    sleep_until, compensation_for, created_at, updated_at, input, original_output, patched_at, patched_by, wait_event,
    wait_until, child_run_id
FROM steps WHERE run_id = :run_id

-- name: by_sequence
ORDER BY sequence, step_id

-- name: that_step
AND step_id = :step_id

-- name: stopped
SELECT status, pause_reason FROM runs WHERE env = :env AND id = :id

-- name: stopped_steps
SELECT step_id, name, type, status, output, error, injected, ended_at, updated_at FROM steps
WHERE run_id = :run_id ORDER BY sequence, step_id

-- name: counts
SELECT function_id, status, n FROM run_counts WHERE env = :env AND n > 0

-- name: counts_of_function
SELECT function_id, status, n FROM run_counts WHERE env = :env AND function_id = :function_id AND n > 0

-- name: event_names
WITH RECURSIVE names (name) AS (
    SELECT min(name) FROM events WHERE env = :env
    UNION ALL
    SELECT (SELECT min(name) FROM events WHERE env = :env AND name > names.name) FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL

-- name: newest
SELECT created_at, seq FROM runs
WHERE env = :env AND created_at BETWEEN :low AND :high AND (created_at < :high OR seq < :below)
ORDER BY created_at DESC, seq DESC LIMIT :most

-- name: newest_of_function
SELECT created_at, seq FROM runs
WHERE env = :env AND function_id = :function_id AND status = :status
    AND created_at BETWEEN :low AND :high AND (created_at < :high OR seq < :below)
ORDER BY created_at DESC, seq DESC LIMIT :most

-- name: newest_of_event
SELECT r.created_at, r.seq
FROM (SELECT id, seq FROM events WHERE env = :env AND name = :name AND +at BETWEEN :low AND :high
    ORDER BY seq DESC LIMIT :looked_at) e CROSS JOIN runs r ON r.event_id = e.id
WHERE r.created_at BETWEEN :low AND :high AND (r.created_at < :high OR r.seq < :below)
    AND r.function_id NOT IN (SELECT value FROM json_each(:functions))
    AND (:statuses = '' OR r.status IN (SELECT value FROM json_each(:statuses)))
    AND (:function_id = '' OR r.function_id = :function_id)
ORDER BY r.created_at DESC, r.seq DESC LIMIT :most

-- name: newest_of_id
-- The newest by their ids, which are in the order of time, if only to the millisecond.
SELECT r.created_at, r.seq
FROM (SELECT * FROM runs WHERE +env = :env AND id >= :first AND id < :last
    AND +created_at BETWEEN :low AND :high AND (+created_at < :high OR seq < :below)
    ORDER BY id DESC LIMIT :looked_at) r CROSS JOIN events e ON e.id = r.event_id
WHERE 1
    AND r.function_id NOT IN (SELECT value FROM json_each(:functions))
    AND e.name NOT IN (SELECT value FROM json_each(:names))
    AND (:statuses = '' OR r.status IN (SELECT value FROM json_each(:statuses)))
    AND (:function_id = '' OR r.function_id = :function_id)
ORDER BY r.created_at DESC, r.seq DESC LIMIT :most
