SELECT p.ordinal, p.name, p.state, p.expected, p.total, p.span_id, p.opened_at, p.closed_at,
       coalesce((SELECT jsonb_object_agg(state, n)
                 FROM (SELECT state, count(*) AS n FROM batch
                       WHERE run_id = p.run_id AND ordinal = p.ordinal GROUP BY state) b), '{}') AS batches,
       coalesce((SELECT jsonb_object_agg(key, n)
                 FROM (SELECT c.key, sum(c.value::bigint) AS n
                       FROM (SELECT counters FROM batch WHERE run_id = p.run_id AND ordinal = p.ordinal
                             UNION ALL SELECT p.counters) counted
                       CROSS JOIN LATERAL jsonb_each_text(counted.counters) c GROUP BY c.key) t), '{}') AS counters
FROM run_step p WHERE p.run_id = $1
ORDER BY p.ordinal
