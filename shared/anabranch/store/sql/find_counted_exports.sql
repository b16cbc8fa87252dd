-- Of what is executable only what the run's assess listed, with the operation listed there (EXP-47).
SELECT e.id, e.type_id, e.kind
  FROM (@executable) AS e
  JOIN guard_op g ON g.object_id = e.id AND g.op = e.kind
 WHERE g.run_id = $2 AND g.point = 'export_writes' AND g.verdict = 'listed'
