SELECT x.id, x.state AS execution_state, x.continue_on_failure, r.grp, r.state
FROM execution x JOIN run r ON r.execution_id = x.id
WHERE x.ended_at IS NULL
ORDER BY x.id, r.grp, r.n
