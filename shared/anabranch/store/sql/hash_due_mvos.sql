SELECT jsonb_build_array(n.key, m.evaluated)::text AS line
  FROM mvo m
  JOIN mvo_name n ON n.id = m.id
 WHERE m.outbound_due OR NOT m.evaluated
 ORDER BY n.key, line
