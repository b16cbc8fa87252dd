SELECT string_agg(ids, ''::bytea) FROM import_pack WHERE run_id = $1
