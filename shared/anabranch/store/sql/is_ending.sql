SELECT state = 'cancelling' OR ended_at IS NOT NULL FROM run WHERE id = $1
