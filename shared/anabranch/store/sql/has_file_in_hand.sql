-- Somebody has begun to write the run's file, and not all of it is recorded yet (EXP-37). `@run` is the run's number.
SELECT EXISTS (
    SELECT FROM proposal_pack p
    JOIN run_step s ON s.run_id = p.run_id AND s.name = 'export'
    JOIN batch b ON b.run_id = s.run_id AND b.ordinal = s.ordinal AND b.role = 'work'
    WHERE p.run_id = @run AND p.kind = 'whole_file' AND b.epoch > 0 AND b.state IN ('ready', 'leased', 'done')
      AND NOT EXISTS (SELECT FROM run_step r
                       WHERE r.run_id = p.run_id AND r.name = 'export.record'
                         AND r.state IN ('closed', 'closed_errors')))
