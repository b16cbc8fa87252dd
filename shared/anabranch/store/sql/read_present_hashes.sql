-- 24 bytes an object, id and anchor hash, in sixteen portions: one value could not hold those of a very large type.
SELECT string_agg(int8send(id) || anchor_hash, ''::bytea)
  FROM cso
 WHERE type_id = $1
   AND ($2::text IS NULL OR partition = $2)
   AND change_seq <= $3
   AND state = 'normal'
   AND anchor_hash IS NOT NULL
 GROUP BY get_byte(anchor_hash, 0) / 16
