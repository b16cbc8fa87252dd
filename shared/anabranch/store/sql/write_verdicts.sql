-- Two pages may reject one identity; the first verdict stands.
INSERT INTO import_verdict (run_id, type_id, anchor_hash, kind, message)
SELECT $1, u.type_id, u.anchor_hash, u.kind, u.message
  FROM unnest($2::integer[], $3::bytea[], $4::text[], $5::text[]) AS u (type_id, anchor_hash, kind, message)
 ORDER BY u.type_id, u.anchor_hash
    ON CONFLICT DO NOTHING
