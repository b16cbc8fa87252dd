SELECT *
  FROM cso_picture
 WHERE type_id = $1
   AND secondary_hash = ANY($2::bytea[])
   AND secondary_hash IS NOT NULL
   AND state = 'pending_provisioning'
 ORDER BY id
