SELECT EXISTS (
    SELECT FROM run r
      JOIN run_step p ON p.run_id = r.id
     WHERE r.id <> $1 AND r.ended_at IS NULL AND r.kind <> 'export'
       AND p.name = 'unpack' AND p.state IN ('closed', 'closed_errors'))
