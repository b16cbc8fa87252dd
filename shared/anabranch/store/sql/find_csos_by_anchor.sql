-- Hashes come packed, because a driver looks at every element of an array; an array they are, so that the index is used.
SELECT *
  FROM cso_picture
 WHERE type_id = $1
   AND anchor_hash = ANY(ARRAY(SELECT substr($2::bytea, n * 16 + 1, 16)
                                 FROM generate_series(0, length($2::bytea) / 16 - 1) AS n))
 ORDER BY id
