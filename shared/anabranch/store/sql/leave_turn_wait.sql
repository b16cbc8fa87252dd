DELETE FROM turn_wait WHERE run_id = $1
