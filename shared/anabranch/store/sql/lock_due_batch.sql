-- Any due batch of a kind, systems in turn. Calls to systems ($3 = true) only to system $4, whose row is locked, while
-- fewer than $5 are leased.
WITH busy AS MATERIALIZED (
    SELECT system_id, count(*) AS leased, count(*) FILTER (WHERE role = 'work') AS calls
    FROM batch WHERE worker_kind = $1 AND state = 'leased' GROUP BY system_id
), candidates AS MATERIALIZED (
    SELECT b.id, coalesce(busy.leased, 0) + row_number() OVER (PARTITION BY b.system_id ORDER BY b.id) AS turn
    FROM batch b
    JOIN run r ON r.id = b.run_id AND r.state = 'running'
    LEFT JOIN busy ON busy.system_id IS NOT DISTINCT FROM b.system_id
    WHERE b.worker_kind = $1 AND b.version = ANY ($2::integer[])
      AND b.state IN ('ready', 'leased') AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease)
      AND (NOT $3::boolean OR b.role <> 'work' OR b.system_id IS NULL
           OR b.system_id = $4::integer AND (b.state = 'leased' OR coalesce(busy.calls, 0) < $5::integer))
)
SELECT b.id, b.state, b.epoch
FROM candidates c
JOIN batch b ON b.id = c.id
WHERE b.state IN ('ready', 'leased') AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease)
ORDER BY c.turn, b.id
LIMIT 1
FOR NO KEY UPDATE OF b SKIP LOCKED
