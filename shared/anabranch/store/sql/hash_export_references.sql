SELECT jsonb_build_array(n.key, v.attr, v.op, t.key, v.raw,
                         CASE WHEN e.all_sent THEN 'sent' ELSE v.state END, v.refuted)::text AS line
  FROM pe_value v
  JOIN pending_export e ON e.id = v.export_id
  JOIN cso_name n ON n.id = e.cso_id
  LEFT JOIN mvo_name t ON t.id = v.target_mvo_id
 ORDER BY n.key, v.attr, line
