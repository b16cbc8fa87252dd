-- Following batches of a step. One that waits for the one before is blocked until that has arrived.
WITH given AS (
    SELECT * FROM unnest($6::integer[], $7::jsonb[], $8::bigint[], $9::boolean[]) AS g (n, payload, total, waits)
), numbered AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('batch', 'id')) AS id, g.* FROM (SELECT * FROM given ORDER BY n) g
), chained AS (
    SELECT numbered.*,
           CASE WHEN waits THEN coalesce(
               lag(id) OVER (ORDER BY n),
               (SELECT b.id FROM batch b
                WHERE b.run_id = $1 AND b.ordinal = $2 AND b.producer = $3 AND b.n = numbered.n - 1
                  AND b.state IN ('blocked', 'ready', 'leased'))) END AS waits_for
    FROM numbered
)
INSERT INTO batch (id, run_id, ordinal, producer, n, worker_kind, role, system_id, payload, total, state, waits_for,
                   span_id)
OVERRIDING SYSTEM VALUE
SELECT id, $1, $2, $3, n, $4, $10, $5, payload, total, CASE WHEN waits_for IS NULL THEN 'ready' ELSE 'blocked' END,
       waits_for, substr(md5(random()::text || clock_timestamp()::text || id), 1, 16)
FROM chained
RETURNING id, n
