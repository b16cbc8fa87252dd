-- Of what is executable only what the run's assess listed, with the operation listed there (EXP-47). Each one listed is
-- looked up by itself: what stands behind OFFSET 0 is planned apart. Joined freely, a list the planner had not seen yet
-- was gone through once for each of its members.
SELECT e.id, e.type_id, e.kind
  FROM guard_op g
 CROSS JOIN LATERAL (
       SELECT x.id, x.type_id, x.kind
         FROM (@executable) AS x
        WHERE x.id = g.object_id AND x.kind = g.op
       OFFSET 0) AS e
 WHERE g.run_id = $2 AND g.point = 'export_writes' AND g.verdict = 'listed'
