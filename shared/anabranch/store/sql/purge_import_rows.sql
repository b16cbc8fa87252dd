DELETE FROM import_row USING run WHERE run.id = import_row.run_id AND run.ended_at IS NOT NULL
