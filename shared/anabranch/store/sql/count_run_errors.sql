SELECT severity, sum(count)::bigint AS total FROM run_error WHERE run_id = $1 GROUP BY severity
