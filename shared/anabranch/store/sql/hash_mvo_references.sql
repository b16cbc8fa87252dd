SELECT jsonb_build_array(n.key, r.attr, t.key, r.raw, coalesce(k.key, r.mapping_id::text))::text AS line
  FROM mvo_ref r
  JOIN mvo_name n ON n.id = r.mvo_id
  LEFT JOIN mvo_name t ON t.id = r.target_mvo_id
  LEFT JOIN mapping k ON k.id = r.mapping_id
 ORDER BY n.key, r.attr, line
