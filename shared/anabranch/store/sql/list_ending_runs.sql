SELECT id FROM run WHERE state = 'cancelling' AND ended_at IS NULL ORDER BY id
