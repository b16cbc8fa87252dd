SELECT jsonb_build_array(n.key, e.kind, e.state, e.failure IS NOT NULL,
                         (SELECT jsonb_agg(r.value ORDER BY r.value::text COLLATE "C")
                            FROM jsonb_array_elements(e.rows) AS r))::text AS line
  FROM pending_export e
  JOIN cso_name n ON n.id = e.cso_id
 ORDER BY n.key, line
