SELECT id FROM import_row WHERE run_id = $3 AND id BETWEEN $1 AND $2
