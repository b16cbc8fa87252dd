SELECT line
  FROM (SELECT n.key, json_build_array(n.key, c.partition, c.secondary, c.state, c.doc::jsonb)::text AS line
          FROM cso c
          JOIN cso_name n ON n.id = c.id
         UNION ALL
        SELECT p.key, json_build_array(p.key, '', NULL::text, 'pending_provisioning', '{}'::jsonb)::text
          FROM packed_create p) AS a
 ORDER BY key, line
