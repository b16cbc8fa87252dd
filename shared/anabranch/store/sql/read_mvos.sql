SELECT * FROM mvo_picture WHERE id = ANY($1::bigint[]) ORDER BY id
