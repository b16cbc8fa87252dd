SELECT e.run_id, s.name AS step, r.profile, coalesce(b.ended_at, r.started_at) AS at, e.severity, e.kind, e.rule, e.message
  FROM run_error e
  JOIN run r ON r.id = e.run_id
  JOIN run_step s ON s.run_id = e.run_id AND s.ordinal = e.ordinal
  JOIN batch b ON b.id = e.batch_id
 WHERE e.space = $1 AND e.object_id = $2
 ORDER BY e.id
