-- For each free slot the run that was requested first, of those whose group is due.
SELECT DISTINCT ON (coalesce(r.system_id, 0)) r.id
FROM run r
JOIN execution x ON x.id = r.execution_id AND x.state IN ('queued', 'running')
WHERE r.state = 'queued'
  AND NOT EXISTS (SELECT FROM run e WHERE e.execution_id = r.execution_id AND e.grp < r.grp
                  AND (e.ended_at IS NULL OR NOT x.continue_on_failure AND e.state IN ('failed', 'cancelled')))
  AND NOT EXISTS (SELECT FROM run a WHERE coalesce(a.system_id, 0) = coalesce(r.system_id, 0)
                  AND a.state IN ('running', 'held', 'paused', 'cancelling'))
ORDER BY coalesce(r.system_id, 0), x.requested_at, r.id
