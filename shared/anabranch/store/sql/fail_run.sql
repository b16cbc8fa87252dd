UPDATE run
SET state = 'cancelling', leads_to = 'failed', failed_reason = $2, message = $3, ending_since = anabranch_now()
WHERE id = $1 AND state IN ('running', 'held', 'paused')
RETURNING id
