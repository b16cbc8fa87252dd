DELETE FROM import_pack USING run WHERE run.id = import_pack.run_id AND run.ended_at IS NOT NULL
