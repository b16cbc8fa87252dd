-- Those given and those that refer to an MVO that goes ($2), all in id order.
SELECT mvo_id, change_seq
  FROM mvo_sync
 WHERE mvo_id IN (SELECT unnest($1::bigint[])
                  UNION
                  SELECT mvo_id FROM mvo_ref WHERE target_mvo_id = ANY($2::bigint[]))
 ORDER BY mvo_id
   FOR UPDATE
