UPDATE cso_sync
   SET refs_due = true, link_version = link_version + 1
 WHERE cso_id IN (SELECT cso_id FROM cso_ref WHERE target_cso_id = ANY($1::bigint[]) AND target_cso_id IS NOT NULL)
   AND mvo_id IS NOT NULL
   AND NOT refs_due
