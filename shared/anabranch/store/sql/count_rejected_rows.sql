SELECT v.kind, count(*) AS n
  FROM import_row r
  JOIN import_verdict v ON v.run_id = r.run_id AND v.type_id = r.type_id AND v.anchor_hash = r.anchor_hash
 WHERE r.run_id = $1
 GROUP BY v.kind
 ORDER BY v.kind
