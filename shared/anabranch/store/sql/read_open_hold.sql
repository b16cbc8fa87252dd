SELECT id, ordinal, point, findings FROM hold WHERE run_id = $1 AND state = 'open' FOR NO KEY UPDATE
