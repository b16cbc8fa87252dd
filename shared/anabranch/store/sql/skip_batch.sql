-- A batch its children replace; whoever waited for it waits for the last of them where they go one by one.
WITH ended AS (
    UPDATE batch SET state = 'skipped', lease_until = NULL, ended_at = anabranch_now(), error = coalesce(error, 'split')
    WHERE id = $1 AND claim = $2 AND state = 'leased'
    RETURNING id, epoch
), attempt AS (
    UPDATE batch_attempt a SET outcome = 'split', ended_at = anabranch_now()
    FROM ended WHERE a.batch_id = ended.id AND a.epoch = ended.epoch
), successors AS (
    UPDATE batch SET waits_for = $3 WHERE waits_for = $1 AND state = 'blocked'
)
SELECT id FROM ended
