SELECT *
  FROM cso_picture
 WHERE type_id = $1 AND anchor_hash = ANY($2::bytea[])
 ORDER BY id
