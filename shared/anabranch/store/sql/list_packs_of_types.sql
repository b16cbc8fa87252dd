SELECT id, type_id, config_version, objects, lo_anchor, hi_anchor
  FROM provision_pack
 WHERE mvo_type_id = ANY($1::integer[])
 ORDER BY id
