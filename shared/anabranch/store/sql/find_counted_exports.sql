-- Of what is executable only what the run's assess listed, with the operation listed there (EXP-47). Joined freely, a
-- list the planner had not seen yet was gone through once for each of its members.
SELECT e.id, e.type_id, e.kind
  FROM guard_op g
 CROSS JOIN LATERAL (@listed) AS e
 WHERE g.run_id = $2 AND g.point = 'export_writes' AND g.verdict = 'listed' AND e.kind = g.op
