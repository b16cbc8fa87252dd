SELECT cso_id AS id
  FROM cso_sync
 WHERE system_id = $3
   AND cso_id BETWEEN $1 AND $2
   AND state = 'normal'
   AND type_id = ANY($4::integer[])
   AND (change_seq <= $5 OR config_version > 0)
   AND ($6::boolean IS NULL OR (mvo_id IS NOT NULL) = $6)
   AND ($7::bigint IS NULL OR settled_in <> $7)
