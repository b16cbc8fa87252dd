SELECT count(*) FROM guard_op WHERE run_id = $1 AND point = $2 AND verdict = 'listed'
