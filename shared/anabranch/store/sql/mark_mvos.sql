-- The marks of an outbound evaluation, in the narrow row alone; what many share is given once.
UPDATE mvo_sync s
   SET outbound_due = t.outbound_due, outbound_stamp = t.outbound_stamp, outbound_version = t.outbound_version,
       outbound_turns_at = t.outbound_turns_at,
       change_seq = CASE WHEN t.touch THEN nextval('change_seq') ELSE s.change_seq END
  FROM unnest($1::bigint[], $2::integer[]) AS u (id, shared)
  JOIN unnest($3::boolean[], $4::bigint[], $5::integer[], $6::timestamptz[], $7::boolean[]) WITH ORDINALITY
       AS t (outbound_due, outbound_stamp, outbound_version, outbound_turns_at, touch, number) ON t.number = u.shared
 WHERE s.mvo_id = u.id
