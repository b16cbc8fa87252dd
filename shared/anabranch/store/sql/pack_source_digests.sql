-- At most $3 objects, 32 bytes each: the digest of the bytes they were read from (the second half of a fingerprint that
-- has one), and the hash of their anchor. In no order, so that nothing is sorted. A CASE, because the planner takes an
-- equation it cannot judge for one that few rows satisfy.
SELECT string_agg(substr(fingerprint, 17) || anchor_hash, ''::bytea)
  FROM (SELECT fingerprint, anchor_hash
          FROM cso
         WHERE type_id = $1
           AND partition = $2
           AND state = 'normal'
           AND CASE WHEN length(fingerprint) = 32 THEN anchor_hash IS NOT NULL END
         LIMIT $3) AS known
