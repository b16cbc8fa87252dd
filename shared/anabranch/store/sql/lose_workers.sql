-- Processes that said neither that they live for $1 seconds nor that they stopped, once nothing is leased to them any
-- more: what they left behind is complete then, and whoever is told of it tells it once.
WITH gone AS (
    SELECT id FROM worker w
    WHERE state IN ('running', 'draining') AND last_beat < anabranch_now() - make_interval(secs => $1)
      AND NOT EXISTS (SELECT FROM batch b WHERE b.owner = w.id AND b.state = 'leased')
    ORDER BY id
    FOR UPDATE SKIP LOCKED
)
UPDATE worker SET state = 'lost' FROM gone WHERE worker.id = gone.id
RETURNING worker.id AS worker, worker.kind, worker.version, worker.last_beat
