SELECT count(*) = cardinality($2::integer[]) FROM sync_turn WHERE run_id = $1 AND mvo_type_id = ANY ($2::integer[])
