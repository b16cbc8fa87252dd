-- What waited for objects that a target has now is executable at once. Where nothing waits, nothing is looked up.
UPDATE pending_export e
   SET waiting = false, state = CASE WHEN e.state = 'exported' THEN 'ready' ELSE e.state END, version = e.version + 1
  FROM (SELECT DISTINCT v.export_id, a.system_id
          FROM unnest($1::integer[], $2::bigint[]) AS a (system_id, mvo_id)
          JOIN pe_value v ON v.target_mvo_id = a.mvo_id) AS w
 WHERE e.id = w.export_id
   AND e.system_id = w.system_id
   AND e.waiting
   AND EXISTS (SELECT FROM pending_export WHERE waiting AND system_id = ANY($3::integer[]))
