-- The time it was held does not count (AUD-10).
UPDATE run
SET state = CASE WHEN pause_reasons = '{}' THEN 'running' ELSE 'paused' END, message = NULL,
    deadline = deadline + (anabranch_now() - held_since),
    held_since = CASE WHEN 'operator' = ANY (pause_reasons) THEN anabranch_now() END
WHERE id = $1 AND state = 'held'
