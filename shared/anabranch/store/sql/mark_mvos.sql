-- What an outbound evaluation leaves: its marks, in the narrow row alone.
UPDATE mvo_sync s
   SET outbound_due = u.outbound_due, outbound_stamp = u.outbound_stamp, outbound_version = u.outbound_version,
       outbound_turns_at = u.outbound_turns_at
  FROM unnest($1::bigint[], $2::boolean[], $3::bigint[], $4::integer[], $5::timestamptz[])
       AS u (id, outbound_due, outbound_stamp, outbound_version, outbound_turns_at)
 WHERE s.mvo_id = u.id
