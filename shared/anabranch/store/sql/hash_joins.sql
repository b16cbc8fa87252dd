SELECT line
  FROM (SELECT n.key, json_build_array(n.key, m.key, s.join_type, s.join_rule)::text AS line
          FROM cso_sync s
          JOIN cso_name n ON n.id = s.cso_id
          JOIN mvo_name m ON m.id = s.mvo_id
         WHERE s.mvo_id IS NOT NULL
         UNION ALL
        SELECT p.key, json_build_array(p.key, m.key, 'provisioned', p.rule)::text
          FROM packed_create p
          JOIN mvo_name m ON m.id = p.mvo_id) AS a
 ORDER BY key, line
