-- What a decision is made on, read on the writer's connection.

-- name: function
SELECT id, version, status, definition, created_at, updated_at FROM functions WHERE env = :env AND id = :id;

-- name: functions_of
SELECT id, version, status, definition, created_at, updated_at FROM functions WHERE env = :env ORDER BY id;

-- name: event_by_key
SELECT id FROM events WHERE env = :env AND idempotency_key = :key AND idempotency_key <> '';

-- name: event
SELECT id, name, data, metadata, version, source, idempotency_key, at FROM events WHERE id = :id;

-- name: run_ids_of_event
SELECT id FROM runs WHERE event_id = :event_id ORDER BY seq;

-- name: run
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, due_step,
    recording
FROM runs WHERE id = :id;

-- name: queue
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, due_step,
    recording
FROM runs
WHERE env = :env AND function_id = :function_id AND status = 'waiting_for_capacity'
ORDER BY eligible_at, seq LIMIT :limit;

-- name: in_hand
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, due_step,
    recording
FROM runs WHERE worker_id = :worker_id AND status = 'running' AND env = :env;

-- name: running
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, due_step,
    recording
FROM runs WHERE status = 'running';

-- name: due
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, due_step,
    recording
FROM runs WHERE due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :limit;

-- name: sleep_began
SELECT started_at FROM steps WHERE run_id = :run_id AND step_id = :step_id;

-- name: known_steps
SELECT step_id, name, type, status, attempt, output, error, started_at, ended_at, duration_ms, sleep_until,
    compensation_for
FROM steps WHERE run_id = :run_id AND step_id IN (SELECT value FROM json_each(:step_ids));

-- name: next_due
SELECT min(due_at) FROM runs WHERE due_at IS NOT NULL;

-- name: all_running
SELECT r.id, r.execution_seq, r.worker_id, r.timeout_ms, r.executed_ns, coalesce(w.instance_id, '')
FROM runs r LEFT JOIN workers w ON w.env = r.env AND w.id = r.worker_id
WHERE r.status = 'running';

-- name: worker
SELECT id, function_ids, instance_id FROM workers WHERE env = :env AND id = :id;

-- name: completed_steps
SELECT step_id, name, output FROM steps WHERE run_id = :run_id AND status = 'completed' ORDER BY sequence, step_id;

-- name: next_sequence
SELECT coalesce(max(sequence) + 1, 0) FROM steps WHERE run_id = :run_id;
