-- A system with due calls and room for one more (or a call to take over), the least busy first.
SELECT s.id, s.max_parallel_exports
FROM system s
CROSS JOIN LATERAL (
    SELECT count(*) AS leased, count(*) FILTER (WHERE lease_is_over(o.lease_until, o.lease)) AS expired
    FROM batch o
    WHERE o.system_id = s.id AND o.worker_kind = 'export' AND o.role = 'work' AND o.state = 'leased'
) busy
WHERE (busy.leased < s.max_parallel_exports OR busy.expired > 0)
  AND EXISTS (
    SELECT FROM batch b JOIN run r ON r.id = b.run_id AND r.state = 'running'
    WHERE b.system_id = s.id AND b.worker_kind = 'export' AND b.role = 'work' AND b.version = ANY ($1::integer[])
      AND b.state IN ('ready', 'leased') AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease))
ORDER BY busy.leased, s.id
LIMIT 1
FOR NO KEY UPDATE OF s SKIP LOCKED
