-- Functions and their history, for decisions and for readers.

-- name: changes
SELECT function_id, version, status, definition, created_at, updated_at, entity_version, event_id, change_type,
    change_reason, actor_id, at
FROM function_history WHERE env = :env AND function_id = :id;

-- name: at_version
AND entity_version = :entity_version;

-- name: before_version
AND (:before = 0 OR entity_version < :before) ORDER BY entity_version DESC LIMIT :limit;
