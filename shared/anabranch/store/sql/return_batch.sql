-- A handled failure ($5 = 1) or a clean hand-back ($5 = 0). With $6 = 'leased' the batch stays with its holder, who
-- splits it or poisons its object.
WITH returned AS (
    UPDATE batch
    SET state = $6, failures = failures + $5::integer, error = coalesce($3, error), published_at = NULL,
        lease_until = CASE WHEN $6 = 'leased' THEN lease_until END,
        not_before = CASE WHEN $4::float8 > 0 THEN anabranch_now() + make_interval(secs => $4::float8) END
    WHERE id = $1 AND claim = $2 AND state = 'leased'
    RETURNING id, epoch
)
UPDATE batch_attempt a
SET outcome = CASE WHEN $3::text IS NULL THEN 'handed_back' ELSE 'failed' END, ended_at = anabranch_now(), error = $3
FROM returned WHERE a.batch_id = returned.id AND a.epoch = returned.epoch
