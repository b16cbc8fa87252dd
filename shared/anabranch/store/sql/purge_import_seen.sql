DELETE FROM import_seen WHERE run_id = $1
