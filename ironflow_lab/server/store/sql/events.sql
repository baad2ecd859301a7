-- Events and messages: what decisions about them are made on, and what clients read.

-- name: invocation_by_key
SELECT e.id, e.source, coalesce(r.id, ''), coalesce(r.function_id, '')
FROM events e LEFT JOIN runs r ON r.event_id = e.id
WHERE e.env = :env AND e.idempotency_key = :key AND e.idempotency_key <> ''
ORDER BY r.seq LIMIT 1

-- name: message_by_key
SELECT id, seq FROM messages
WHERE env = :env AND topic = :topic AND idempotency_key = :key AND idempotency_key <> ''

-- name: last_message
-- Places are never given twice, not even where the last message is gone.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0)

-- name: event_data
SELECT data FROM events WHERE env = :env AND id = :id

-- name: recorded_runs
SELECT r.id, r.function_id, a.at, r.updated_at, a.payload
FROM runs r JOIN audit a ON a.run_id = r.id AND a.at = r.created_at
WHERE r.event_id = :event_id AND r.recording <> '' AND a.type = 'run.created'
ORDER BY r.seq

-- name: event
SELECT id, name, data, version, source, idempotency_key, metadata, at, run_id, emitted_by, env, seq FROM events
WHERE env = :env AND id = :id

-- name: row
SELECT id, name, data, version, source, idempotency_key, metadata, at, run_id, emitted_by, env, seq FROM events
WHERE seq = :seq

-- name: places
SELECT seq FROM events NOT INDEXED

-- name: places_by_name
SELECT seq FROM events INDEXED BY events_by_name

-- name: places_by_time
SELECT seq FROM events INDEXED BY events_by_time

-- name: names
SELECT name, count(*) FROM events

-- name: by_name
GROUP BY name ORDER BY count(*) DESC, name

-- name: where_env
env = :env

-- name: where_name
name = :name

-- name: where_names
name IN (SELECT value FROM json_each(:names))

-- name: where_source
source IN (SELECT value FROM json_each(:sources))

-- name: where_since
at >= :since

-- name: where_until
at < :until

-- name: where_older
seq < :older

-- name: where_newer
seq > :newer

-- name: newest_first
ORDER BY seq DESC LIMIT :limit

-- name: oldest_first
ORDER BY seq LIMIT :limit
