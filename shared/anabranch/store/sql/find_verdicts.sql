SELECT type_id, anchor_hash, kind, message
  FROM import_verdict
 WHERE run_id = $1 AND anchor_hash = ANY($2::bytea[])
