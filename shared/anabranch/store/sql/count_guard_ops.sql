-- Counted first and named then: of a new list the planner believes that it has one row.
WITH counted AS MATERIALIZED (
    SELECT type_id, op, count(*) AS count
      FROM guard_op
     WHERE run_id = $1 AND point = $2 AND verdict = 'listed'
     GROUP BY type_id, op
)
SELECT c.type_id, t.key AS type, s.key AS system, c.op, c.count, coalesce(p.population, 0) AS population
  FROM counted c
  JOIN object_type t ON t.id = c.type_id
  LEFT JOIN system s ON s.id = t.system_id
  LEFT JOIN run_population p ON p.run_id = $1 AND p.point = $2 AND p.type_id = c.type_id
 ORDER BY c.type_id, c.op
