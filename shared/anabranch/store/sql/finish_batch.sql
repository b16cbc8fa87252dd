-- `done` or `dead`, under the claim; what waited for it becomes ready where $6 says so.
WITH ended AS (
    UPDATE batch
    SET state = $3, counters = $4, seals = $5, error = $7, lease_until = NULL, ended_at = anabranch_now(),
        failures = CASE WHEN $3 = 'done' THEN 0 ELSE failures END, losses = CASE WHEN $3 = 'done' THEN 0 ELSE losses END
    WHERE id = $1 AND claim = $2 AND state = 'leased'
    RETURNING id, epoch
), attempt AS (
    UPDATE batch_attempt a SET outcome = $3, ended_at = anabranch_now(), error = coalesce($7, a.error)
    FROM ended WHERE a.batch_id = ended.id AND a.epoch = ended.epoch
), arrived AS (
    UPDATE batch SET state = 'ready' WHERE waits_for = $1 AND state = 'blocked' AND $6::boolean
)
SELECT id FROM ended
