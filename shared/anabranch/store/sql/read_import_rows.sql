SELECT id, type_id, partition, page, place, anchor, anchor_hash, secondary, secondary_hash, change, doc, refs, kept,
       fingerprint, seq_before_read
  FROM import_row
 WHERE run_id = $1 AND id BETWEEN $2 AND $3
 ORDER BY id
