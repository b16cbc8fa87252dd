-- Those among the exports of some CSOs that the run's assess listed, with the operation listed there (EXP-47). Each is looked
-- up in the list by itself: joined freely, a list the planner had not seen yet was gone through as a whole.
SELECT e.id
  FROM (@mine) AS e
 CROSS JOIN LATERAL (SELECT FROM guard_op g
                      WHERE g.run_id = $2 AND g.point = 'export_writes' AND g.object_id = e.id
                        AND g.verdict = 'listed' AND g.op = e.kind
                     OFFSET 0) AS listed
