-- The open ones, or all of one run.
SELECT h.run_id AS run, h.ordinal, h.point, h.state, h.findings,
       (SELECT count(*) FROM guard_op g
        WHERE g.run_id = h.run_id AND g.point = h.point AND g.verdict <> 'dropped') AS operations,
       h.opened_at, h.expires_at, h.decided_at, h.actor, h.reason
FROM hold h
WHERE $1::bigint IS NULL AND h.state = 'open' OR h.run_id = $1
ORDER BY h.id
