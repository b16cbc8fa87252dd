DELETE FROM import_seen WHERE run_id = $1 AND partition = ANY($2::text[])
