SELECT id, state FROM execution WHERE id = $1 AND ended_at IS NULL FOR NO KEY UPDATE
