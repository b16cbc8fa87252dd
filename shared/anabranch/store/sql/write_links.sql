-- Most links of a batch differ in three numbers only; the rest of what they become is given once for all that share it.
UPDATE cso_sync s
   SET mvo_id = u.mvo_id, join_type = t.join_type, join_rule = t.join_rule, synced_seq = u.synced_seq,
       rule_stamp = t.rule_stamp, config_version = t.config_version, turns_at = t.turns_at,
       contributions = t.contributions, refs_due = t.refs_due, failed = t.failed, released = t.released,
       settled_in = coalesce(t.settled_in, s.settled_in),
       link_version = s.link_version + 1
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) AS u (cso_id, mvo_id, synced_seq, shared)
  JOIN unnest($5::text[], $6::text[], $7::bigint[], $8::integer[], $9::timestamptz[], $10::jsonb[], $11::boolean[],
              $12::boolean[], $13::boolean[], $14::bigint[]) WITH ORDINALITY
       AS t (join_type, join_rule, rule_stamp, config_version, turns_at, contributions, refs_due, failed, released,
             settled_in, number) ON t.number = coalesce(u.shared, 1)
 WHERE s.cso_id = u.cso_id
