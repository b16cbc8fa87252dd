-- Rows locked by their own commit are skipped: the lock holds them. After the end of a run began, a lease is renewed for
-- 60 seconds more and no longer.
WITH mine AS MATERIALIZED (
    SELECT b.id, r.ending_since + interval '60 s' AS last
    FROM batch b JOIN run r ON r.id = b.run_id
    WHERE b.claim = ANY ($2::text[]) AND b.owner = $1 AND b.state = 'leased'
    FOR NO KEY UPDATE OF b SKIP LOCKED
), renewed AS (
    UPDATE batch b
    SET lease_until = least(anabranch_now() + make_interval(secs => $3), mine.last), lease = make_interval(secs => $3)
    FROM mine
    WHERE b.id = mine.id AND (mine.last IS NULL OR mine.last > anabranch_now())
)
SELECT b.claim
FROM batch b JOIN run r ON r.id = b.run_id
WHERE b.claim = ANY ($2::text[]) AND b.owner = $1 AND b.state = 'leased'
  AND (r.ending_since IS NULL OR r.ending_since + interval '60 s' > anabranch_now())
