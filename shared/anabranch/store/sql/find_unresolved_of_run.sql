SELECT f.type_id, f.attr, count(*) AS n, min(f.raw) AS example
  FROM (SELECT DISTINCT type_id, anchor_hash FROM import_row WHERE run_id = $1 AND change <> 'delete') AS r
  JOIN cso c ON c.type_id = r.type_id AND c.anchor_hash = r.anchor_hash
  JOIN cso_ref f ON f.cso_id = c.id
 WHERE f.target_cso_id IS NULL
 GROUP BY f.type_id, f.attr
 ORDER BY f.type_id, f.attr
