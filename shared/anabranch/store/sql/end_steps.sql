UPDATE run_step SET state = 'cancelled', closed_at = anabranch_now() WHERE run_id = $1 AND state IN ('open', 'sealed')
