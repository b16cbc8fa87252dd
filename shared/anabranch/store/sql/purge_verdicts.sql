DELETE FROM import_verdict WHERE run_id = $1
