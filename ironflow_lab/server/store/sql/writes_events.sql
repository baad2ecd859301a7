-- What records events and messages, and what takes a payload away.

-- name: insert_event
INSERT INTO events (env, id, name, data, metadata, version, source, idempotency_key, at, emitted_by, run_id)
VALUES (:env, :id, :name, :data, :metadata, :version, :source, :idempotency_key, :at, :emitted_by, :run_id);

-- name: insert_message
INSERT INTO messages (seq, env, id, topic, data, idempotency_key, run_id, at)
VALUES (:seq, :env, :id, :topic, :data, :idempotency_key, :run_id, :at);

-- name: redact_event
UPDATE events SET data = :data WHERE env = :env AND id = :id;

-- name: redact_run_created
UPDATE audit SET payload = :payload WHERE run_id = :run_id AND at = :at AND type = 'run.created';
