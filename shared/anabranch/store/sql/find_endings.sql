-- Steps, runs and executions that ended between two moments, whoever ended them.
SELECT 'step' AS what, run_id AS id, ordinal FROM run_step WHERE closed_at > $1 AND closed_at <= $2
UNION ALL
SELECT 'run', id, 0 FROM run WHERE ended_at > $1 AND ended_at <= $2
UNION ALL
SELECT 'execution', id, 0 FROM execution WHERE ended_at > $1 AND ended_at <= $2
ORDER BY what, id, ordinal
