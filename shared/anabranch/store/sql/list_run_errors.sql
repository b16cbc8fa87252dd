SELECT severity, kind, sum(count)::bigint AS count, (array_agg(message ORDER BY id))[1] AS message
FROM run_error WHERE run_id = $1
GROUP BY severity, kind
ORDER BY severity, count DESC, kind
