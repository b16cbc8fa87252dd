WITH taken AS (
    INSERT INTO sync_turn (mvo_type_id, run_id)
    SELECT t, $1::bigint FROM unnest($2::integer[]) AS t ORDER BY t
    ON CONFLICT (mvo_type_id) DO NOTHING
    RETURNING mvo_type_id
)
SELECT count(*) FROM taken
