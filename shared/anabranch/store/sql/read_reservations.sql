SELECT name, value_hash, value, mvo_id, free_after
  FROM reservation
 WHERE mvo_id = ANY($1::bigint[]) AND mvo_id IS NOT NULL
 ORDER BY mvo_id, name, value_hash
