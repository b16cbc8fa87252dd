WITH given AS MATERIALIZED (
    SELECT *
      FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::jsonb[], $6::json[], $7::boolean[],
                  $8::boolean[], $9::bigint[], $10::integer[], $11::timestamptz[], $12::boolean[])
           AS u (id, state, delete_after, deletion, doc, provenance, evaluated, outbound_due, outbound_stamp,
                 outbound_version, outbound_turns_at, touch)
), wide AS (
    UPDATE mvo m
       SET state = u.state, delete_after = u.delete_after, deletion = u.deletion, doc = u.doc, provenance = u.provenance
      FROM given u
     WHERE m.id = u.id
)
UPDATE mvo_sync s
   SET evaluated = u.evaluated, outbound_due = u.outbound_due, outbound_stamp = u.outbound_stamp,
       outbound_version = u.outbound_version, outbound_turns_at = u.outbound_turns_at,
       change_seq = CASE WHEN u.touch THEN nextval('change_seq') ELSE s.change_seq END
  FROM given u
 WHERE s.mvo_id = u.id
