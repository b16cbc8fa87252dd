SELECT x.id AS execution, x.name, x.state, x.actor, coalesce(max(r.grp), 0) AS groups,
       min(r.grp) FILTER (WHERE r.ended_at IS NULL) AS "group", count(r.id) AS runs, x.trace_id, x.span_id,
       x.config_version, x.requested_at, x.started_at, x.ended_at
FROM execution x LEFT JOIN run r ON r.execution_id = x.id
WHERE $1::bigint IS NULL OR x.id = $1
GROUP BY x.id
ORDER BY x.id DESC
LIMIT $2
