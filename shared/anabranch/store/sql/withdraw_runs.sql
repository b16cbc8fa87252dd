UPDATE run SET state = 'cancelled', ended_at = anabranch_now(), message = $2
WHERE execution_id = $1 AND state = 'queued'
