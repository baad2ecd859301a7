-- What deletions and redactions are decided on, read on the writer's connection.

-- name: ended_runs
-- The counts name the few pairs of function and status; each is in the order of creation.
SELECT r.id FROM run_counts c CROSS JOIN runs r
    ON r.env = c.env AND r.function_id = c.function_id AND r.status = c.status
WHERE c.env = :env AND c.n > 0 AND c.status IN ('completed', 'failed', 'cancelled')
    AND (:function_id = '' OR c.function_id = :function_id) AND (:status = '' OR c.status = :status)
    AND r.created_at < :until
ORDER BY r.created_at, r.seq LIMIT :most

-- name: run_payloads
SELECT coalesce(r.input, e.data), r.output FROM runs r JOIN events e ON e.id = r.event_id WHERE r.id = :run_id

-- name: step_payloads
SELECT step_id, input, output, original_output FROM steps WHERE run_id = :run_id

-- name: that_step
AND step_id = :step_id

-- name: step_by_id
SELECT run_id, step_id FROM steps WHERE run_id = :run_id AND step_id = :id

-- name: step_by_row
SELECT run_id, step_id FROM steps WHERE run_id = :run_id AND id = :id

-- name: audit_payloads
SELECT seq, payload FROM audit WHERE run_id = :run_id

-- name: audit_of_step
AND step_id = :step_id
