SELECT *
  FROM mvo_picture
 WHERE type_id = $1 AND (origin_key = $2 OR right(origin_key, length($2) + 1) = '/' || $2)
 ORDER BY id
