SELECT cso_id AS id
  FROM cso_sync
 WHERE system_id = $3
   AND cso_id BETWEEN $1 AND $2
   AND refs_due
   AND mvo_id IS NOT NULL
   AND state = 'normal'
   AND type_id = ANY($4::integer[])
