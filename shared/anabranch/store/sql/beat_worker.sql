UPDATE worker
SET last_beat = anabranch_now(), state = CASE state WHEN 'lost' THEN 'running' ELSE state END,
    holds = coalesce((SELECT array_agg(b.id ORDER BY b.id) FROM batch b
                      WHERE b.claim = ANY ($2::text[]) AND b.state = 'leased'), '{}')
WHERE id = $1
