WITH written AS (
    UPDATE cso SET state = 'obsolete', change_seq = nextval('change_seq')
     WHERE id = ANY($1::bigint[])
 RETURNING id, change_seq
)
UPDATE cso_sync s
   SET state = 'obsolete', change_seq = w.change_seq
  FROM written w
 WHERE s.cso_id = w.id
