UPDATE run
SET state = $2, failed_reason = $3, message = coalesce($4, message), totals = $5, held_since = NULL,
    ended_at = anabranch_now()
WHERE id = $1
