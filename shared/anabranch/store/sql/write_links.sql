UPDATE cso_sync s
   SET mvo_id = u.mvo_id, join_type = u.join_type, join_rule = u.join_rule, synced_seq = u.synced_seq,
       rule_stamp = u.rule_stamp, config_version = u.config_version, turns_at = u.turns_at,
       contributions = u.contributions, refs_due = u.refs_due, failed = u.failed, released = u.released,
       settled_in = coalesce(u.settled_in, s.settled_in),
       link_version = s.link_version + 1
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
              $8::timestamptz[], $9::jsonb[], $10::boolean[], $11::boolean[], $12::boolean[],
              $13::bigint[])
       AS u (cso_id, mvo_id, join_type, join_rule, synced_seq, rule_stamp, config_version, turns_at, contributions,
             refs_due, failed, released, settled_in)
 WHERE s.cso_id = u.cso_id
