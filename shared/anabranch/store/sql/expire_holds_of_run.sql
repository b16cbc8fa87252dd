UPDATE hold SET state = 'expired', decided_at = anabranch_now(), reason = 'the run has ended'
WHERE run_id = $1 AND state = 'open'
