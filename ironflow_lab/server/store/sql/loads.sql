-- What a decision is made on, read on the writer's connection.

-- name: function
SELECT id, version, status, definition, created_at, updated_at FROM functions WHERE env = :env AND id = :id;

-- name: functions_of
SELECT id, version, status, definition, created_at, updated_at FROM functions WHERE env = :env ORDER BY id;

-- name: event_by_key
SELECT id FROM events WHERE env = :env AND idempotency_key = :key AND idempotency_key <> '';

-- name: event_of_run
-- A redacted run hands out what stands in the place of its input.
SELECT e.id, e.name, coalesce(r.input, e.data), e.metadata, e.version, e.source, e.idempotency_key, e.at, e.emitted_by,
    e.run_id
FROM runs r JOIN events e ON e.id = r.event_id WHERE r.id = :id;

-- name: run_ids_of_event
SELECT id FROM runs WHERE event_id = :event_id ORDER BY seq;

-- name: runs
SELECT id, env, function_id, event_id, status, attempt, policy, timeout_ms, executed_ns, execution_seq, lease_token,
    worker_id, created_at, updated_at, started_at, claimed_at, recording, parent_run_id, parent_step_id,
    pause_requested, pause_reason, lane, lane_limit, pause_holds, holding, eligible_at
FROM runs;

-- name: of_run
WHERE id = :id;

-- name: hands_out
-- A paused function's runs stay where they are, and a deleted one's.
SELECT definition FROM functions WHERE env = :env AND id = :function_id AND status <> 'paused';

-- name: queue
WHERE env = :env AND function_id = :function_id AND status = 'waiting_for_capacity' AND lane_limit = 0
ORDER BY eligible_at, seq LIMIT :limit;

-- name: has_lanes
-- Asked first: walking lanes is dear where nobody queues in one.
SELECT 1 FROM runs INDEXED BY runs_lanes WHERE env = :env AND function_id = :function_id
    AND status = 'waiting_for_capacity' AND lane_limit > 0
LIMIT 1;

-- name: queue_of_lanes
-- Lane by lane, however many runs stand behind a full one: the first of each that has room, and those that have
-- kept their place.
WHERE seq IN (
    WITH RECURSIVE lanes (lane) AS (
        SELECT min(lane) FROM runs
        WHERE env = :env AND function_id = :function_id AND status = 'waiting_for_capacity' AND lane_limit > 0
        UNION ALL
        SELECT (
            SELECT min(lane) FROM runs WHERE env = :env AND function_id = :function_id
                AND status = 'waiting_for_capacity' AND lane_limit > 0 AND lane > lanes.lane)
        FROM lanes WHERE lane IS NOT NULL
    ),
    occupied (lane, n) AS (
        SELECT lane, (
            SELECT count(*) FROM runs WHERE env = :env AND function_id = :function_id AND lane = lanes.lane
                AND lane_limit > 0 AND (status = 'running' OR holding = 1))
        FROM lanes WHERE lane IS NOT NULL
    )
    SELECT first.seq FROM occupied CROSS JOIN runs AS first ON first.seq IN (
        SELECT seq FROM runs WHERE env = :env AND function_id = :function_id
            AND status = 'waiting_for_capacity' AND lane_limit > 0 AND lane = occupied.lane
        ORDER BY eligible_at, seq LIMIT :limit)
    WHERE first.lane_limit > occupied.n
    UNION
    SELECT seq FROM runs INDEXED BY runs_in_lane WHERE env = :env AND function_id = :function_id
        AND lane_limit > 0 AND (status = 'running' OR holding = 1) AND status = 'waiting_for_capacity'
)
ORDER BY eligible_at, seq LIMIT :limit;

-- name: in_lane
SELECT id FROM runs WHERE env = :env AND function_id = :function_id AND lane = :lane AND lane_limit > 0
    AND (status = 'running' OR holding = 1)
ORDER BY seq;

-- name: in_hand
-- The plus keeps SQLite from reading all runs of the environment.
WHERE worker_id = :worker_id AND status = 'running' AND +env = :env;

-- name: running
WHERE status = 'running';

-- name: timers
SELECT run_id, env, kind, due_at, step_id, event, path, value, child, child_function FROM timers;

-- name: timer_of_run
WHERE run_id = :run_id;

-- name: due
WHERE held = 0 AND due_at <= :now ORDER BY due_at LIMIT :limit;

-- name: next_due
SELECT min(due_at) FROM timers WHERE held = 0;

-- name: awaited_paths
-- From one path to the next, however many runs wait at each.
WITH RECURSIVE paths (path) AS (
    SELECT min(path) FROM timers WHERE kind = 'event' AND env = :env AND event = :event
    UNION ALL
    SELECT (SELECT min(path) FROM timers WHERE kind = 'event' AND env = :env AND event = :event AND path > paths.path)
    FROM paths WHERE path IS NOT NULL
)
SELECT path FROM paths WHERE path IS NOT NULL;

-- name: awaiting
WHERE kind = 'event' AND env = :env AND event = :event AND path = :path AND value = :value ORDER BY run_id;

-- name: steps
SELECT step_id, name, type, status, attempt, output, error, started_at, ended_at, duration_ms, sleep_until,
    compensation_for, sequence, original_output, patched_at, injected, wait_event, wait_until, child_run_id
FROM steps;

-- name: step
WHERE run_id = :run_id AND step_id = :step_id;

-- name: step_by_row
WHERE run_id = :run_id AND id = :id;

-- name: known_steps
WHERE run_id = :run_id AND step_id IN (SELECT value FROM json_each(:step_ids));

-- name: steps_with_rows
SELECT step_id, name, type, status, attempt, output, error, started_at, ended_at, duration_ms, sleep_until,
    compensation_for, sequence, original_output, patched_at, injected, wait_event, wait_until, child_run_id, id
FROM steps WHERE run_id = :run_id ORDER BY sequence, step_id;

-- name: all_running
SELECT r.id, r.execution_seq, r.worker_id, r.timeout_ms, r.executed_ns, coalesce(w.instance_id, '')
FROM runs r LEFT JOIN workers w ON w.env = r.env AND w.id = r.worker_id
WHERE r.status = 'running';

-- name: worker
SELECT id, function_ids, instance_id FROM workers WHERE env = :env AND id = :id;

-- name: workers_of
SELECT id FROM workers WHERE env = :env
    AND EXISTS (SELECT 1 FROM json_each(function_ids) WHERE value = :function_id)
ORDER BY registered_at DESC, id;

-- name: done_steps
-- What is not to be executed again: a failed call of another function is told as such.
SELECT step_id, name, output, CASE status WHEN 'failed' THEN error END FROM steps
WHERE run_id = :run_id AND (status = 'completed' OR (status = 'failed' AND type = 'invoke_function'))
ORDER BY sequence, step_id;

-- name: next_sequence
SELECT coalesce(max(sequence) + 1, 0) FROM steps WHERE run_id = :run_id;

-- name: run_error
SELECT error FROM runs WHERE id = :id;

-- name: run_status
SELECT status FROM runs WHERE id = :id;

-- name: queue_position
-- Behind those of its own lane, where it has one.
SELECT count(*) FROM runs AS mine, runs AS other
WHERE mine.id = :id AND other.env = mine.env AND other.function_id = mine.function_id
    AND other.status = 'waiting_for_capacity' AND (other.eligible_at, other.seq) <= (mine.eligible_at, mine.seq)
    AND (other.lane_limit = 0) = (mine.lane_limit = 0) AND other.lane = mine.lane;
