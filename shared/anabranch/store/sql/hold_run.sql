WITH opened AS (
    INSERT INTO hold (run_id, ordinal, point, findings, expires_at)
    VALUES ($1, $2, $3, $4, anabranch_now() + make_interval(hours => $5))
)
UPDATE run SET state = 'held', held_since = anabranch_now(), message = $6 WHERE id = $1
