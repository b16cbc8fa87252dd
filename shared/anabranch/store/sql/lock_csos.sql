-- Those given, those that refer to a CSO that goes ($2) or joins ($3), those joined to an MVO that goes ($4), in id order.
SELECT cso_id, change_seq, link_version, mvo_id
  FROM cso_sync
 WHERE cso_id IN (SELECT unnest($1::bigint[])
                  UNION
                  SELECT cso_id FROM cso_ref
                   WHERE target_cso_id = ANY($2::bigint[] || $3::bigint[]) AND target_cso_id IS NOT NULL
                  UNION
                  SELECT cso_id FROM cso_sync WHERE mvo_id = ANY($4::bigint[]) AND mvo_id IS NOT NULL)
 ORDER BY cso_id
   FOR UPDATE
