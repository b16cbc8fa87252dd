SELECT type_id, anchor_hash, kind, message
  FROM import_verdict
 WHERE run_id = $1
   AND anchor_hash IN (SELECT substr($2::bytea, n * 16 + 1, 16)
                         FROM generate_series(0, length($2::bytea) / 16 - 1) AS n)
