-- Another run that started earlier waits for one of these types.
SELECT EXISTS (
    SELECT FROM turn_wait w
    JOIN run r ON r.id = w.run_id AND r.state = 'running'
    JOIN run me ON me.id = $1
    WHERE w.mvo_type_id = ANY ($2::integer[]) AND w.run_id <> $1 AND (r.started_at, r.id) < (me.started_at, me.id))
