-- The rows may be stored in several ways, and their order tells how they came about: the reader of these lines writes
-- them out alike.
SELECT jsonb_build_array(n.key, e.kind, e.state, e.failure IS NOT NULL, e.all_sent, e.rows)::text AS line
  FROM pending_export e
  JOIN cso_name n ON n.id = e.cso_id
 ORDER BY n.key
