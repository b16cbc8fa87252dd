SELECT count(*) FROM batch WHERE run_id = $1 AND state IN ('blocked', 'ready', 'leased')
