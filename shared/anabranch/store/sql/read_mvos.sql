SELECT id, type_id, origin_key, state, delete_after, deletion, doc, provenance, evaluated, outbound_due, outbound_stamp,
       outbound_version, change_seq
  FROM mvo
 WHERE id = ANY($1::bigint[])
 ORDER BY id
