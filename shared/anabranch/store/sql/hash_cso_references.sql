SELECT json_build_array(n.key, r.attr, r.raw, t.key)::text AS line
  FROM cso_ref r
  JOIN cso_name n ON n.id = r.cso_id
  LEFT JOIN cso_name t ON t.id = r.target_cso_id
 ORDER BY n.key, r.attr, r.raw, line
