SELECT * FROM cso_picture WHERE mvo_id = ANY($1::bigint[]) AND mvo_id IS NOT NULL ORDER BY id
