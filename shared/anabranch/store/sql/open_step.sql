-- A step and its one plan batch.
WITH step AS (
    INSERT INTO run_step (run_id, ordinal, name, span_id)
    VALUES ($1, $2, $3, coalesce($6, substr(md5(random()::text || clock_timestamp()::text), 1, 16)))
    RETURNING run_id, ordinal
)
INSERT INTO batch (run_id, ordinal, producer, n, worker_kind, role, system_id, state, span_id)
SELECT run_id, ordinal, 0, 0, $4, 'plan', $5, 'ready',
       coalesce($7, substr(md5(random()::text || clock_timestamp()::text), 1, 16))
FROM step
RETURNING id
