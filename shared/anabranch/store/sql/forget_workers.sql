WITH gone AS (
    SELECT id FROM worker w
    WHERE last_beat < anabranch_now() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM batch b WHERE b.owner = w.id AND b.state = 'leased')
    ORDER BY id
    FOR UPDATE SKIP LOCKED
)
DELETE FROM worker USING gone WHERE worker.id = gone.id
