SELECT r.id, r.execution_id, r.kind, r.system_id, r.state, r.leads_to, r.failed_reason, r.message, r.config_version,
       r.started_at, r.pause_reasons
FROM run r WHERE r.id = $1
FOR NO KEY UPDATE OF r
