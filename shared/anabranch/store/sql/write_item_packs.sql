-- Packs of one batch are numbered; the batch row is locked, so the next number is nobody else's.
INSERT INTO run_item_pack (run_id, ordinal, batch_id, page, space, lo_id, hi_id, counts, packed)
SELECT $1, $2, $3, (SELECT coalesce(max(page) + 1, 0) FROM run_item_pack WHERE batch_id = $3), u.space, u.lo_id, u.hi_id,
       u.counts, u.packed
  FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::jsonb[], $8::bytea[]) AS u (space, lo_id, hi_id, counts, packed)
