DELETE FROM import_seen USING run WHERE run.id = import_seen.run_id AND run.ended_at IS NOT NULL
