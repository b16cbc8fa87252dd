SELECT b.id AS batch, b.run_id AS run, s.name AS step, b.worker_kind, b.role, b.total, b.claim, w.pid
  FROM batch b
  JOIN run_step s ON s.run_id = b.run_id AND s.ordinal = b.ordinal
  JOIN worker w ON w.id = b.owner
 WHERE b.state = 'leased'
 ORDER BY b.id
