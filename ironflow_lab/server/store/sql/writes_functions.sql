-- What changes functions.

-- name: save_function
INSERT INTO functions (env, id, version, status, definition, created_at, updated_at)
VALUES (:env, :id, :version, :status, :definition, :created_at, :updated_at)
ON CONFLICT (env, id) DO UPDATE SET
    version = excluded.version, status = excluded.status, definition = excluded.definition,
    updated_at = excluded.updated_at;

-- name: delete_function
DELETE FROM functions WHERE env = :env AND id = :id;

-- name: record_function
-- One row a change; the count goes on where a function was deleted and registered again.
INSERT INTO function_history (env, function_id, entity_version, event_id, change_type, change_reason, actor_id,
    version, status, definition, created_at, updated_at, at)
SELECT :env, :id, 1 + coalesce(max(entity_version), 0), :event_id, :change_type, :change_reason, :actor_id,
    :version, :status, :definition, :created_at, :updated_at, :updated_at
FROM function_history WHERE env = :env AND function_id = :id;
