UPDATE run_step SET state = $3, fired = fired + 1, expected = $4, total = $5, closed_at = anabranch_now()
WHERE run_id = $1 AND ordinal = $2 AND state = 'sealed'
