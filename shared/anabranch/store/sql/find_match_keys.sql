SELECT key_hash, key, mvo_id AS object_id
  FROM match_key
 WHERE type_id = $1 AND attr = $2 AND key_hash = ANY($3::bytea[])
 ORDER BY key_hash, mvo_id
