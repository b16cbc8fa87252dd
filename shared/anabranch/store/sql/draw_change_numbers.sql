SELECT array_agg(nextval('change_seq')) FROM generate_series(1, $1::integer)
