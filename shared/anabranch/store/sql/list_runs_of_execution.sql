SELECT id FROM run WHERE execution_id = $1 AND ended_at IS NULL ORDER BY id
