DELETE FROM import_row WHERE run_id = $1
