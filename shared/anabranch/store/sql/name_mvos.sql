SELECT id, key FROM mvo_name WHERE id = ANY($1::bigint[])
