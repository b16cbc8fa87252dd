SELECT *
  FROM cso_picture
 WHERE type_id = $1 AND (anchor = $2 OR secondary = $2)
 ORDER BY id
