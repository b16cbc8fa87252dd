SELECT mvo_id, attr, key_hash, key
  FROM match_key
 WHERE mvo_id = ANY($1::bigint[])
 ORDER BY mvo_id, attr, key_hash
