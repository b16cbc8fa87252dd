SELECT * FROM cso_picture WHERE id = ANY($1::bigint[]) ORDER BY id
