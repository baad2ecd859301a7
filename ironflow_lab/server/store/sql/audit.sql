-- The audit trail as clients read it, on connections that cannot write.

-- name: run
SELECT function_id, status, recording, created_at FROM runs WHERE env = :env AND id = :run_id

-- name: events
SELECT id, run_id, function_id, step_id, type, payload, env, at, seq FROM audit

-- name: count
SELECT count(*) FROM audit

-- name: where_env
env = :env

-- name: where_run
run_id = :run_id

-- name: where_function
function_id = :function_id

-- name: where_type
type = :event_type

-- name: where_since
at >= :since

-- name: where_until
at <= :until

-- name: where_after
at > :after

-- name: where_before
seq < :before

-- name: oldest_first
ORDER BY at LIMIT :limit

-- name: newest_first
ORDER BY seq DESC LIMIT :limit

-- name: moments
SELECT type, step_id, at, payload FROM audit WHERE run_id = :run_id AND at > :after ORDER BY at

-- name: moments_of_step
SELECT type, step_id, at, payload FROM audit
WHERE run_id = :run_id AND step_id = :step_id AND step_id <> '' AND at <= :until ORDER BY at

-- name: told
SELECT id, type, step_id, at, payload FROM audit WHERE run_id = :run_id ORDER BY at

-- name: step_id_of_row
SELECT step_id FROM steps WHERE run_id = :run_id AND id = :id
