SELECT anchor_hash, fingerprint
  FROM cso
 WHERE type_id = $1
   AND anchor_hash = ANY($3::bytea[])
   AND partition = $2
   AND state = 'normal'
   AND fingerprint IS NOT NULL
