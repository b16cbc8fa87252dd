UPDATE run
SET state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE 'cancelling' END,
    leads_to = 'cancelled', message = $2, ending_since = anabranch_now(),
    ended_at = CASE WHEN state = 'queued' THEN anabranch_now() END
WHERE id = $1 AND state IN ('queued', 'running', 'held', 'paused')
RETURNING state
