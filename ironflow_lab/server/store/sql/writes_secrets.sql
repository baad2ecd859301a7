-- What changes secrets.

-- name: insert_secret
INSERT INTO secrets (env, name, value, description, revision, created_at, updated_at)
VALUES (:env, :name, :value, :description, :revision, :created_at, :updated_at);

-- name: renew_secret
UPDATE secrets SET value = :value, description = :description, revision = :revision, updated_at = :updated_at
WHERE env = :env AND name = :name;

-- name: describe_secret
UPDATE secrets SET name = :name, description = :description, updated_at = :updated_at
WHERE env = :env AND name = :former;

-- name: delete_secret
DELETE FROM secrets WHERE env = :env AND name = :name;
