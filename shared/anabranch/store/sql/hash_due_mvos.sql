SELECT jsonb_build_array(n.key, s.evaluated)::text AS line
  FROM mvo_sync s
  JOIN mvo_name n ON n.id = s.mvo_id
 WHERE s.outbound_due OR NOT s.evaluated
 ORDER BY n.key, line
