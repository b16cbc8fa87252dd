UPDATE run_step SET state = 'sealed', expected = $3, total = $4, sealed_at = anabranch_now()
WHERE run_id = $1 AND ordinal = $2 AND state = 'open'
