UPDATE run_step SET state = 'failed', closed_at = anabranch_now()
WHERE run_id = $1 AND ordinal = $2 AND state IN ('open', 'sealed')
