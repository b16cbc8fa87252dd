INSERT INTO execution (name, config_version, now, continue_on_failure, actor, trace_id, span_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
