SELECT export_id, attr, op, target_mvo_id, raw, state, refuted
  FROM pe_value
 WHERE export_id = ANY($1::bigint[])
 ORDER BY export_id, attr, target_mvo_id, raw
