SELECT mvo_id, attr, target_mvo_id, contributor, mapping_id, raw
  FROM mvo_ref
 WHERE mvo_id = ANY($1::bigint[])
 ORDER BY mvo_id, attr, target_mvo_id
