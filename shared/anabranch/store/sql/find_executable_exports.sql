-- EXP-14. A run that has ended writes nothing more: what it staged does not wait for a step that will never close.
SELECT e.id, e.type_id, e.kind
  FROM @exports AS e
  JOIN cso_sync s ON s.cso_id = e.cso_id
 WHERE e.system_id = $1
   AND e.state IN (@states)
   AND NOT e.waiting
   AND (e.not_before IS NULL OR e.not_before <= anabranch_now())
   AND s.state <> 'obsolete'
   AND e.staged_run IN (@over)
