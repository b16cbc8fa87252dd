-- Runs whose newest step has closed without a successor (a turn to wait for, a hold decided), or may close or fail.
SELECT s.run_id, s.ordinal
FROM run r
CROSS JOIN LATERAL (SELECT * FROM run_step WHERE run_id = r.id ORDER BY ordinal DESC LIMIT 1) s
WHERE r.state = 'running'
  AND (s.state IN ('closed', 'closed_errors')
       OR s.state IN ('open', 'sealed') AND (
            NOT EXISTS (SELECT FROM batch b WHERE b.run_id = s.run_id AND b.ordinal = s.ordinal
                        AND b.state IN ('blocked', 'ready', 'leased'))
            OR EXISTS (SELECT FROM batch b WHERE b.run_id = s.run_id AND b.ordinal = s.ordinal AND b.state = 'dead')
            OR s.state = 'open' AND EXISTS (
                SELECT FROM batch b WHERE b.run_id = s.run_id AND b.ordinal = s.ordinal AND b.producer = 0 AND b.seals)))
ORDER BY r.started_at, r.id
