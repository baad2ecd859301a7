-- What clients read, on connections that cannot write.

-- name: run_columns
SELECT r.id, r.function_id, r.event_id, e.name, r.worker_id, e.data, r.output, r.error, r.status, r.attempt,
    r.max_attempts, r.started_at, r.ended_at, r.created_at, r.updated_at, r.function_version, r.env,
    r.execution_seq, r.claimed_at, r.cancellation_cause, r.timeout_ms, r.executed_ns, r.due_step,
    r.seq
FROM runs r JOIN events e ON e.id = r.event_id

-- name: run_count
SELECT count(*) FROM runs r

-- name: run_count_with_events
SELECT count(*) FROM runs r JOIN events e ON e.id = r.event_id

-- name: where_env
r.env = :env

-- name: where_id
r.id = :id

-- name: where_function
r.function_id = :function_id

-- name: where_event
r.event_id = :event_id

-- name: where_statuses
r.status IN (SELECT value FROM json_each(:statuses))

-- name: where_since
r.created_at >= :since

-- name: where_until
r.created_at < :until

-- name: where_search
(instr(lower(r.id), lower(:search)) OR instr(lower(r.function_id), lower(:search)) OR instr(lower(e.name), lower(:search)))

-- name: where_before
r.seq < :before

-- name: newest_first
ORDER BY r.seq DESC LIMIT :limit OFFSET :offset

-- name: steps
SELECT id, run_id, step_id, type, sequence, status, output, error, attempt, duration_ms, started_at, ended_at,
    sleep_until, compensation_for, created_at, updated_at
FROM steps WHERE run_id = :run_id ORDER BY sequence, step_id

-- name: function
SELECT id, version, status, definition, created_at, updated_at FROM functions WHERE env = :env AND id = :id

-- name: function_page
SELECT id, version, status, definition, created_at, updated_at FROM functions
WHERE env = :env AND id > :after AND (:status = '' OR status = :status)
    AND (:name = '' OR instr(lower(json_extract(definition, '$.name')), lower(:name)))
ORDER BY id LIMIT :limit OFFSET :offset

-- name: function_count
SELECT count(*) FROM functions
WHERE env = :env AND (:status = '' OR status = :status)
    AND (:name = '' OR instr(lower(json_extract(definition, '$.name')), lower(:name)))

-- name: run_exists
SELECT 1 FROM runs WHERE env = :env AND id = :id

-- name: results
SELECT id, function_id, status, output, error, created_at, ended_at FROM runs
WHERE env = :env AND id IN (SELECT value FROM json_each(:ids)) ORDER BY seq
