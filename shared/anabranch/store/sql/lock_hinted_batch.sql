-- $4 is how many batches may call the system at once, null where the batch calls none. A takeover keeps its place.
SELECT b.id, b.state, b.epoch
FROM batch b
WHERE b.id = $1
  AND b.worker_kind = $2
  AND b.version = ANY ($3::integer[])
  AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease)
  AND EXISTS (SELECT FROM run r WHERE r.id = b.run_id AND r.state = 'running')
  AND ($4::integer IS NULL OR b.state = 'leased' OR $4 > (
        SELECT count(*) FROM batch o
        WHERE o.system_id = b.system_id AND o.worker_kind = 'export' AND o.role = 'work' AND o.state = 'leased'))
FOR NO KEY UPDATE OF b
