SELECT id, type_id, origin_key, state, delete_after, deletion, doc, provenance, evaluated, outbound_due, outbound_stamp,
       outbound_version, change_seq
  FROM mvo
 WHERE type_id = $1 AND (origin_key = $2 OR right(origin_key, length($2) + 1) = '/' || $2)
 ORDER BY id
