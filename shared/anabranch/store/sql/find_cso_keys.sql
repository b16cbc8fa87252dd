SELECT k.key_hash, k.key, k.cso_id AS object_id, s.mvo_id
  FROM cso_key k
  JOIN cso_sync s ON s.cso_id = k.cso_id
 WHERE k.type_id = $1 AND k.attr = $2 AND k.key_hash = ANY($3::bytea[])
 ORDER BY k.key_hash, k.cso_id
