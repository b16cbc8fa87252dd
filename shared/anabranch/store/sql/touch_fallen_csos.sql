-- A referenced CSO went: something changed for these, and joined ones owe an evaluation of their references (IMP-31).
WITH touched AS (
    UPDATE cso SET change_seq = nextval('change_seq') WHERE id = ANY($1::bigint[]) RETURNING id, change_seq
)
UPDATE cso_sync s
   SET change_seq = t.change_seq, refs_due = s.refs_due OR s.mvo_id IS NOT NULL
  FROM touched t
 WHERE s.cso_id = t.id
