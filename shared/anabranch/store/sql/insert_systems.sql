INSERT INTO system (key, max_parallel_exports)
SELECT * FROM unnest($1::text[], $2::integer[]) AS s (key, most) ORDER BY key
ON CONFLICT (key) DO UPDATE SET max_parallel_exports = excluded.max_parallel_exports
