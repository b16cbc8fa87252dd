SELECT id FROM provision_pack WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE
