SELECT id, cso_id, type_id, system_id, mvo_id, kind, state, rows::text AS rows, all_sent, rule, staged_run, config_version, staged_now,
       seen_seq, sent_seq, waiting, attempts, not_before, failure, version
  FROM pending_export
 WHERE cso_id = ANY($1::bigint[])
 ORDER BY id
