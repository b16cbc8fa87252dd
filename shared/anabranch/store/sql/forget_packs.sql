DELETE FROM provision_pack WHERE id = ANY($1::bigint[])
