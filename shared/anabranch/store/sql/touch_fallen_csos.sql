-- A referenced CSO went: something changed for these, and joined ones owe an evaluation of their references (IMP-31). One
-- that is due as it is keeps its number: with a new one it would be younger than the run, which would leave it out.
WITH touched AS (
    UPDATE cso
       SET change_seq = nextval('change_seq')
      FROM cso_sync s
     WHERE cso.id = ANY($1::bigint[]) AND s.cso_id = cso.id AND NOT s.changed
 RETURNING cso.id, cso.change_seq
)
UPDATE cso_sync s
   SET change_seq = coalesce(t.change_seq, s.change_seq),
       link_version = s.link_version + CASE WHEN t.id IS NULL THEN 1 ELSE 0 END,
       refs_due = s.refs_due OR s.mvo_id IS NOT NULL
  FROM unnest($1::bigint[]) AS f (id)
  LEFT JOIN touched t ON t.id = f.id
 WHERE s.cso_id = f.id
