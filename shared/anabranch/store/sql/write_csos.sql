WITH written AS (
    UPDATE cso c
       SET partition = u.partition, anchor = u.anchor, anchor_hash = u.anchor_hash, secondary = u.secondary,
           secondary_hash = u.secondary_hash, state = u.state, doc = u.doc, fingerprint = u.fingerprint,
           change_seq = CASE WHEN u.touch THEN nextval('change_seq') ELSE c.change_seq END
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[], $7::text[], $8::jsonb[],
                  $9::bytea[], $10::boolean[], $11::boolean[])
           AS u (id, partition, anchor, anchor_hash, secondary, secondary_hash, state, doc, fingerprint, touch, synced)
     WHERE c.id = u.id
 RETURNING c.id, c.state, c.change_seq, u.touch AND u.synced AS synced
)
UPDATE cso_sync s
   SET state = w.state, change_seq = w.change_seq,
       synced_seq = CASE WHEN w.synced THEN w.change_seq ELSE s.synced_seq END
  FROM written w
 WHERE s.cso_id = w.id AND (s.change_seq <> w.change_seq OR s.state <> w.state)
