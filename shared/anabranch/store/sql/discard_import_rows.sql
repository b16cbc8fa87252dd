DELETE FROM import_row WHERE run_id = $1 AND partition = ANY($2::text[])
