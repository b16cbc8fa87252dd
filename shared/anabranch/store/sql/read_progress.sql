SELECT r.id AS run, r.kind, s.key AS system, r.state, p.name AS phase, coalesce(p.ordinal, 0) AS phase_index,
       CASE WHEN p.total IS NULL THEN coalesce(b.processed, 0) ELSE least(coalesce(b.processed, 0), p.total) END
           AS processed,
       p.total,
       coalesce((SELECT jsonb_object_agg(key, n)
                 FROM (SELECT c.key, sum(c.value::bigint) AS n
                       FROM (SELECT counters FROM batch WHERE run_id = r.id
                             UNION ALL SELECT counters FROM run_step WHERE run_id = r.id) counted
                       CROSS JOIN LATERAL jsonb_each_text(counted.counters) c GROUP BY c.key) t), '{}') AS counters,
       coalesce((SELECT sum(count) FROM run_error WHERE run_id = r.id AND severity = 'error'), 0)::bigint AS errors,
       r.started_at, anabranch_now() AS updated_at, r.message
FROM run r
LEFT JOIN system s ON s.id = r.system_id
LEFT JOIN LATERAL (SELECT * FROM run_step WHERE run_id = r.id ORDER BY ordinal DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (
    SELECT sum(total) FILTER (WHERE state IN ('done', 'dead'))::bigint AS processed
    FROM batch WHERE run_id = r.id AND ordinal = p.ordinal) b ON true
WHERE r.id = $1
