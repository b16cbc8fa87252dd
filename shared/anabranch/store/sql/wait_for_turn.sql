INSERT INTO turn_wait (mvo_type_id, run_id) SELECT t, $1::bigint FROM unnest($2::integer[]) AS t ORDER BY t
ON CONFLICT DO NOTHING
