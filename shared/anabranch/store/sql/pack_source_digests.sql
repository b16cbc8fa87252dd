-- At most $3 objects, 32 bytes each: the digest of the bytes they were read from (the second half of a fingerprint that
-- has one), and the hash of their anchor. In no order, so that the table is gone through once and never sorted.
SELECT string_agg(substr(fingerprint, 17) || anchor_hash, ''::bytea)
  FROM (SELECT fingerprint, anchor_hash
          FROM cso
         WHERE type_id = $1
           AND partition = $2
           AND state = 'normal'
           AND length(fingerprint) = 32
           AND anchor_hash IS NOT NULL
         LIMIT $3) AS known
