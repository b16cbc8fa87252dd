SELECT r.cso_id, r.attr, r.raw, r.target_cso_id, t.mvo_id AS target_mvo_id
  FROM cso_ref r
  LEFT JOIN cso_sync t ON t.cso_id = r.target_cso_id
 WHERE r.cso_id = ANY($1::bigint[])
 ORDER BY r.cso_id, r.attr, r.raw
