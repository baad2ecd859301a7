-- What a run is recorded with, fixed when it is created; empty is "not recorded".
ALTER TABLE runs ADD COLUMN recording TEXT NOT NULL DEFAULT '';

-- Append-only. `at` is strictly increasing within a run; `seq` is the order of writing across runs.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    env TEXT NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    function_id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    type TEXT NOT NULL,
    payload BLOB NOT NULL,
    at INTEGER NOT NULL
);
CREATE UNIQUE INDEX audit_by_run ON audit (run_id, at);
CREATE INDEX audit_by_step ON audit (run_id, step_id, at) WHERE step_id <> '';
-- The environment comes last: it selects little, and counting reads the index alone.
CREATE INDEX audit_by_function ON audit (function_id, env);
CREATE INDEX audit_by_type ON audit (type, env);
CREATE INDEX audit_by_time ON audit (at, env);
