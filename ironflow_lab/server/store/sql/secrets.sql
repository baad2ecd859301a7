-- What is known of secrets, and their values for the functions that declare them.

-- name: secret
SELECT name, revision, description, created_at, updated_at FROM secrets WHERE env = :env AND name = :name;

-- name: secrets
SELECT name, revision, description, created_at, updated_at FROM secrets WHERE env = :env ORDER BY name;

-- name: count
SELECT count(*) FROM secrets WHERE env = :env;

-- name: values
SELECT name, value FROM secrets WHERE env = :env AND name IN (SELECT value FROM json_each(:names));
