SELECT cso_id AS id
  FROM cso_sync
 WHERE system_id = $3
   AND cso_id BETWEEN $1 AND $2
   AND state = 'obsolete'
   AND (mvo_id IS NOT NULL) = $4::boolean
