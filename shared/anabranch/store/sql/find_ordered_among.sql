SELECT object_id FROM proposal WHERE run_id = $1 AND kind = $2 AND object_id = ANY($3::bigint[])
