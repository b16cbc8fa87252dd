-- Those given, in id order.
SELECT cso_id, change_seq, link_version, mvo_id FROM cso_sync WHERE cso_id = ANY($1::bigint[]) ORDER BY cso_id FOR UPDATE
