-- Provenance without runs; the few different ones are translated once each.
WITH translated AS MATERIALIZED (
    SELECT p.provenance,
           (SELECT jsonb_object_agg(a.key, jsonb_build_array(coalesce(k.key, a.value ->> 0), a.value -> 2))
              FROM jsonb_each(p.provenance::jsonb) AS a
              LEFT JOIN mapping k ON k.id = (a.value ->> 0)::integer) AS readable
      FROM (SELECT DISTINCT provenance::text FROM mvo) AS p
)
SELECT json_build_array(n.key, m.state, m.doc::jsonb, t.readable)::text AS line
  FROM mvo m
  JOIN mvo_name n ON n.id = m.id
  JOIN translated t ON t.provenance = m.provenance::text
 ORDER BY n.key, line
