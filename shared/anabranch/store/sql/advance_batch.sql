UPDATE batch SET cursor = $3, counters = $4, failures = 0, losses = 0, error = NULL
WHERE id = $1 AND claim = $2 AND state = 'leased'
RETURNING id
