DELETE FROM import_pack WHERE run_id = $1 AND partition = ANY($2::text[])
