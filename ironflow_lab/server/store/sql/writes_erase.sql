-- Statements that remove runs, or what they hold.

-- name: delete_audit
DELETE FROM audit WHERE run_id IN (SELECT value FROM json_each(:ids));

-- name: delete_steps
DELETE FROM steps WHERE run_id IN (SELECT value FROM json_each(:ids));

-- name: delete_timers
DELETE FROM timers WHERE run_id IN (SELECT value FROM json_each(:ids));

-- name: delete_runs
DELETE FROM runs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: redact_run
UPDATE runs SET input = :input, output = :output WHERE id = :id;

-- name: redact_step
UPDATE steps SET input = :input, output = :output, original_output = :original_output
WHERE run_id = :run_id AND step_id = :step_id;

-- name: redact_audit
UPDATE audit SET payload = :payload WHERE seq = :seq;
