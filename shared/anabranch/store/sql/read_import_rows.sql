SELECT rows FROM import_pack WHERE run_id = $1 AND lo_id <= $3 AND hi_id >= $2 ORDER BY lo_id
