UPDATE pending_export e
   SET cso_id = u.cso_id, type_id = u.type_id, system_id = u.system_id, mvo_id = u.mvo_id, kind = u.kind,
       state = u.state, rows = u.rows, all_sent = false, rule = u.rule, staged_run = u.staged_run, config_version = u.config_version,
       staged_now = u.staged_now, seen_seq = u.seen_seq, sent_seq = u.sent_seq, waiting = u.waiting, attempts = u.attempts,
       not_before = u.not_before, failure = u.failure, version = e.version + 1
  FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[], $6::text[], $7::text[],
              $8::json[], $9::text[], $10::bigint[], $11::integer[], $12::timestamptz[], $13::bigint[], $14::bigint[],
              $15::boolean[], $16::integer[], $17::timestamptz[], $18::text[])
       AS u (id, cso_id, type_id, system_id, mvo_id, kind, state, rows, rule, staged_run, config_version, staged_now,
             seen_seq, sent_seq, waiting, attempts, not_before, failure)
 WHERE e.id = u.id
