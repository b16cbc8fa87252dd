-- Hashes come packed, because a driver looks at every element of an array; an array they are, so that the index is used.
SELECT anchor_hash, fingerprint
  FROM cso
 WHERE type_id = $1
   AND anchor_hash = ANY(ARRAY(SELECT substr($3::bytea, n * 16 + 1, 16)
                                 FROM generate_series(0, length($3::bytea) / 16 - 1) AS n))
   AND partition = $2
   AND state = 'normal'
   AND fingerprint IS NOT NULL
