-- A slot that one CSO leaves in this commit may be taken by another in the same: unique indexes look at each row at once.
UPDATE cso_sync s
   SET mvo_id = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS u (cso_id, mvo_id)
 WHERE s.cso_id = u.cso_id AND s.mvo_id IS NOT NULL AND s.mvo_id IS DISTINCT FROM u.mvo_id
