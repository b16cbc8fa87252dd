-- A row that is locked is in its own commit, and is left to it. The next epoch fences the late holder.
WITH expired AS (
    SELECT id, epoch FROM batch
    WHERE run_id = $1 AND state = 'leased' AND lease_is_over(lease_until, lease)
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
), attempt AS (
    UPDATE batch_attempt a SET outcome = 'lost', ended_at = anabranch_now()
    FROM expired WHERE a.batch_id = expired.id AND a.epoch = expired.epoch AND a.outcome IS NULL
)
UPDATE batch
SET state = 'cancelled', claim = NULL, owner = NULL, epoch = batch.epoch + 1, lease_until = NULL,
    ended_at = anabranch_now()
FROM expired WHERE batch.id = expired.id
