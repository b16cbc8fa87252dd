SELECT name, value_hash, value, mvo_id, free_after
  FROM reservation
 WHERE name = $1 AND value_hash = ANY($2::bytea[])
 ORDER BY value_hash
