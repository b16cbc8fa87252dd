-- Waits for claims in flight: what one of them took is leased by then, and stays.
WITH waiting AS (
    SELECT id FROM batch WHERE run_id = $1 AND state IN ('ready', 'blocked') ORDER BY id FOR NO KEY UPDATE
), withdrawn AS (
    UPDATE batch SET state = 'cancelled', ended_at = anabranch_now()
    FROM waiting WHERE batch.id = waiting.id
    RETURNING batch.id
)
SELECT count(*) FROM withdrawn
