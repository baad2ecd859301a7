-- What clients read, on connections that cannot write.

-- name: function_page
SELECT id, version, status, definition, created_at, updated_at FROM functions
WHERE env = :env AND id > :after AND (:status = '' OR status = :status)
    AND (:name = '' OR instr(lower(json_extract(definition, '$.name')), lower(:name)))
ORDER BY id LIMIT :limit OFFSET :offset

-- name: function_count
SELECT count(*) FROM functions
WHERE env = :env AND (:status = '' OR status = :status)
    AND (:name = '' OR instr(lower(json_extract(definition, '$.name')), lower(:name)))
