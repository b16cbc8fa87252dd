SELECT b.worker_kind, b.state, count(*) AS batches,
       count(*) FILTER (WHERE r.state = 'running'
                        AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease)) AS due,
       extract(epoch FROM anabranch_now() - min(b.created_at))::float8 AS oldest_seconds
FROM batch b JOIN run r ON r.id = b.run_id
WHERE b.state IN ('blocked', 'ready', 'leased')
GROUP BY b.worker_kind, b.state
ORDER BY b.worker_kind, b.state
