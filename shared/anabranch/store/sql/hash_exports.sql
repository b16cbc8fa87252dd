-- The order of the rows tells how they came about, not what they say: the reader of these lines sorts the last element.
SELECT jsonb_build_array(n.key, e.kind, e.state, e.failure IS NOT NULL, e.rows)::text AS line
  FROM pending_export e
  JOIN cso_name n ON n.id = e.cso_id
 ORDER BY n.key
