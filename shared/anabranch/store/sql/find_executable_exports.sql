-- EXP-14; with a run only what its assess listed, with the operation listed there (EXP-47). A run that has ended writes
-- nothing more: what it staged does not wait for a step that will never close. With $3 also what is being sent.
SELECT e.id, e.type_id, e.kind
  FROM pending_export e
  JOIN cso_sync s ON s.cso_id = e.cso_id
 WHERE e.system_id = $1
   AND (e.state IN ('ready', 'unconfirmed') OR $3::boolean AND e.state = 'exporting')
   AND NOT e.waiting
   AND (e.not_before IS NULL OR e.not_before <= anabranch_now())
   AND s.state <> 'obsolete'
   AND e.staged_run IN (
           SELECT r.id
             FROM run r
            WHERE r.ended_at IS NOT NULL
               OR EXISTS (SELECT FROM run_step p
                           WHERE p.run_id = r.id AND p.name = 'outbound' AND p.state IN ('closed', 'closed_errors')))
   AND ($2::bigint IS NULL
        OR EXISTS (SELECT FROM guard_op g
                    WHERE g.run_id = $2 AND g.point = 'export_writes' AND g.object_id = e.id
                      AND g.verdict = 'listed' AND g.op = e.kind))
 ORDER BY e.id
