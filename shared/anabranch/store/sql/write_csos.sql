-- What the objects of a batch have in common is given once; a column that is empty in all of them comes as an empty array.
WITH written AS (
    UPDATE cso c
       SET partition = t.partition, anchor = u.anchor, anchor_hash = u.anchor_hash, secondary = u.secondary,
           secondary_hash = u.secondary_hash, state = t.state, doc = u.doc, fingerprint = u.fingerprint,
           change_seq = CASE WHEN t.touch THEN nextval('change_seq') ELSE c.change_seq END
      FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::bytea[], $6::json[], $7::bytea[], $8::integer[])
           AS u (id, anchor, anchor_hash, secondary, secondary_hash, doc, fingerprint, shared)
      JOIN unnest($9::text[], $10::text[], $11::boolean[], $12::boolean[]) WITH ORDINALITY
           AS t (partition, state, touch, synced, number) ON t.number = coalesce(u.shared, 1)
     WHERE c.id = u.id
 RETURNING c.id, c.state, c.change_seq, t.touch AND t.synced AS synced
)
UPDATE cso_sync s
   SET state = w.state, change_seq = w.change_seq,
       synced_seq = CASE WHEN w.synced THEN w.change_seq ELSE s.synced_seq END
  FROM written w
 WHERE s.cso_id = w.id AND (s.change_seq <> w.change_seq OR s.state <> w.state)
