-- Written only: no statement reads a value but the one that hands them out with a job.
CREATE TABLE secrets (
    env TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    description TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (env, name)
) WITHOUT ROWID;
