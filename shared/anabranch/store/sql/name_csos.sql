SELECT id, key FROM cso_name WHERE id = ANY($1::bigint[])
