SELECT (SELECT count(*) FROM batch WHERE run_id = $1 AND state = 'dead') AS dead,
       EXISTS (SELECT FROM hold WHERE run_id = $1 AND state IN ('rejected', 'expired')) AS hold_refused
