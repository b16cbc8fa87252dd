SELECT r.id
  FROM run r
 WHERE r.ended_at IS NOT NULL
    OR EXISTS (SELECT FROM run_step p
                WHERE p.run_id = r.id AND p.name = 'outbound' AND p.state IN ('closed', 'closed_errors'))
