SELECT id, anchor_hash
  FROM cso
 WHERE id > $4
   AND type_id = $1
   AND ($2::text IS NULL OR partition = $2)
   AND change_seq <= $3
   AND state = 'normal'
   AND anchor_hash IS NOT NULL
 ORDER BY id
 LIMIT $5
