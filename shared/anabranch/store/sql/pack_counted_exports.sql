-- Ascending 8-byte ids in one value: a row for each would cost more than finding it.
SELECT coalesce(string_agg(int8send(e.id), ''::bytea ORDER BY e.id), ''::bytea) FROM (@counted) AS e
