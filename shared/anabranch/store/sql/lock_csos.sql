-- Those given, those that refer to a CSO that goes ($2), those that a CSO that joins ($3) makes due, those joined to an MVO
-- that goes ($4), in id order. Who refers to a newcomer and has no place yet is left alone: with its place it becomes due
-- by itself, and locking it would let the batches that settle matches wait for one another.
SELECT cso_id, change_seq, link_version, mvo_id
  FROM cso_sync
 WHERE cso_id IN (SELECT unnest($1::bigint[])
                  UNION
                  SELECT cso_id FROM cso_ref
                   WHERE target_cso_id = ANY($2::bigint[]) AND target_cso_id IS NOT NULL
                  UNION
                  SELECT r.cso_id FROM cso_ref r JOIN cso_sync d ON d.cso_id = r.cso_id
                   WHERE r.target_cso_id = ANY($3::bigint[]) AND r.target_cso_id IS NOT NULL
                     AND d.mvo_id IS NOT NULL AND NOT d.refs_due
                  UNION
                  SELECT cso_id FROM cso_sync WHERE mvo_id = ANY($4::bigint[]) AND mvo_id IS NOT NULL)
 ORDER BY cso_id
   FOR UPDATE
