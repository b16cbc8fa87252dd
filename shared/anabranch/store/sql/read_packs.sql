SELECT id, system_id, type_id, mvo_type_id, rule, staged_run, config_version, staged_now, body::text AS objects
  FROM provision_pack
 WHERE id = ANY($1::bigint[])
 ORDER BY id
