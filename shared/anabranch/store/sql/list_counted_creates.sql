-- What a run has counted in packs it has counted one by one when they are unpacked. The packs are locked.
INSERT INTO guard_op (run_id, point, type_id, object_id, op)
SELECT p.counted_in, 'export_writes', c.type_id, c.export_id, 'create'
  FROM provision_pack p
  JOIN run r ON r.id = p.counted_in
  JOIN packed_create c ON c.pack_id = p.id
 WHERE p.id = ANY($1::bigint[]) AND r.ended_at IS NULL
