INSERT INTO keyed (type_id, attr) SELECT * FROM unnest($1::integer[], $2::text[]) ON CONFLICT DO NOTHING
