SELECT p.run_id, s.name AS step, r.profile, coalesce(b.ended_at, r.started_at) AS at, p.packed
  FROM run_item_pack p
  JOIN run r ON r.id = p.run_id
  JOIN run_step s ON s.run_id = p.run_id AND s.ordinal = p.ordinal
  JOIN batch b ON b.id = p.batch_id
 WHERE p.space = $1 AND p.lo_id <= $2 AND p.hi_id >= $2
 ORDER BY p.run_id, p.ordinal, p.batch_id, p.page
