-- Most MVOs of a batch differ in their values only; the rest of what they become is given once for all that share it.
WITH given AS MATERIALIZED (
    SELECT u.id, u.doc, u.provenance, t.*
      FROM unnest($1::bigint[], $2::json[], $3::json[], $4::integer[]) AS u (id, doc, provenance, shared)
      JOIN unnest($5::text[], $6::timestamptz[], $7::jsonb[], $8::boolean[], $9::boolean[], $10::bigint[],
                  $11::integer[], $12::timestamptz[], $13::boolean[], $14::bigint[]) WITH ORDINALITY
           AS t (state, delete_after, deletion, evaluated, outbound_due, outbound_stamp, outbound_version,
                 outbound_turns_at, touch, parted_in, number) ON t.number = u.shared
), wide AS (
    UPDATE mvo m
       SET state = u.state, delete_after = u.delete_after, deletion = u.deletion, doc = u.doc, provenance = u.provenance
      FROM given u
     WHERE m.id = u.id
)
UPDATE mvo_sync s
   SET evaluated = u.evaluated, outbound_due = u.outbound_due, outbound_stamp = u.outbound_stamp,
       outbound_version = u.outbound_version, outbound_turns_at = u.outbound_turns_at,
       parted_in = CASE WHEN u.parted_in IS NULL OR may_be_joined_again(s.parted_in) THEN s.parted_in ELSE u.parted_in END,
       change_seq = CASE WHEN u.touch THEN nextval('change_seq') ELSE s.change_seq END
  FROM given u
 WHERE s.mvo_id = u.id
