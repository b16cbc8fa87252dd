-- The rows may be stored in several ways, and their order tells how they came about: the reader of these lines writes
-- them out alike.
SELECT line
  FROM (SELECT n.key, jsonb_build_array(n.key, e.kind, e.state, e.failure IS NOT NULL, e.all_sent, e.rows)::text AS line
          FROM pending_export e
          JOIN cso_name n ON n.id = e.cso_id
         UNION ALL
        SELECT p.key, jsonb_build_array(p.key, 'create', 'ready', false, false, p.sets)::text
          FROM packed_create p) AS a
 ORDER BY key
