DELETE FROM proposal WHERE run_id = $1
