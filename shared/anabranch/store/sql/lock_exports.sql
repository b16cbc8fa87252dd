SELECT id, version FROM pending_export WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE
