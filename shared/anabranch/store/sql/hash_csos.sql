SELECT json_build_array(n.key, c.partition, c.secondary, c.state, c.doc)::text AS line
  FROM cso c
  JOIN cso_name n ON n.id = c.id
 ORDER BY n.key, line
