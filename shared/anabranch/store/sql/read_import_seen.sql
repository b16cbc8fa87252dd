-- The next 16 packed pages in order of partition, page and type.
SELECT partition, page, type_id, hashes
  FROM import_seen
 WHERE run_id = $1 AND (partition, page, type_id) > ($2, $3, $4)
 ORDER BY partition, page, type_id
 LIMIT 16
