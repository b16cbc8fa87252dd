-- The next $4 objects above $3, 32 bytes each: the digest of the bytes they were read from (the second half of a
-- fingerprint that has one), and the hash of their anchor.
SELECT max(id) AS last, string_agg(substr(fingerprint, 17) || anchor_hash, ''::bytea) AS packed
  FROM (SELECT id, fingerprint, anchor_hash
          FROM cso
         WHERE id > $3
           AND type_id = $1
           AND partition = $2
           AND state = 'normal'
           AND length(fingerprint) = 32
           AND anchor_hash IS NOT NULL
         ORDER BY id
         LIMIT $4) AS known
