SELECT b.id AS batch, b.run_id AS run, b.ordinal || '.' || p.name AS phase, b.worker_kind, s.key AS system,
       coalesce(b.system_id, 0) AS system_id, b.failures, b.losses, b.error, b.payload, b.ended_at
FROM batch b
JOIN run_step p ON p.run_id = b.run_id AND p.ordinal = b.ordinal
LEFT JOIN system s ON s.id = b.system_id
WHERE b.state = 'dead'
ORDER BY b.id DESC
LIMIT $1
