SELECT array_agg(nextval($1::regclass)) FROM generate_series(1, $2::integer)
