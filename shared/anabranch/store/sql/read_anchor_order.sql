-- 8-byte ids in one value: a row for each would cost more than sorting it.
SELECT coalesce(string_agg(int8send(id), ''::bytea ORDER BY anchor NULLS LAST, id), ''::bytea) FROM cso WHERE type_id = $1
