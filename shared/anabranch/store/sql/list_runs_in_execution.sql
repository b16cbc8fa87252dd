SELECT r.id AS run, r.execution_id AS execution, r.grp, r.profile, r.kind, s.key AS system, r.state, r.failed_reason,
       r.message, r.config_version, p.name AS step, x.trace_id, r.span_id, r.requested_at, r.started_at,
       r.ended_at, r.deadline, r.totals
FROM run r
JOIN execution x ON x.id = r.execution_id
LEFT JOIN system s ON s.id = r.system_id
LEFT JOIN LATERAL (SELECT name FROM run_step WHERE run_id = r.id ORDER BY ordinal DESC LIMIT 1) p ON true
WHERE r.execution_id = $1
ORDER BY r.grp, r.n
