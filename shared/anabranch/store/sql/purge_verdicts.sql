DELETE FROM import_verdict USING run WHERE run.id = import_verdict.run_id AND run.ended_at IS NOT NULL
