-- Counted first and named then: of a new list the planner believes that it has one row. A pack is as many creates as it
-- has objects.
WITH counted AS MATERIALIZED (
    SELECT type_id, op, count(*) AS count
      FROM guard_op
     WHERE run_id = $1 AND point = $2 AND verdict = 'listed'
     GROUP BY type_id, op
), packed AS MATERIALIZED (
    SELECT type_id, 'create' AS op, sum(objects) AS count
      FROM provision_pack
     WHERE counted_in = $1 AND $2 = 'export_writes'
     GROUP BY type_id
), both_kinds AS (
    SELECT type_id, op, sum(count)::bigint AS count
      FROM (SELECT * FROM counted UNION ALL SELECT * FROM packed) AS a
     GROUP BY type_id, op
)
SELECT c.type_id, t.key AS type, s.key AS system, c.op, c.count, coalesce(p.population, 0) AS population
  FROM both_kinds c
  JOIN object_type t ON t.id = c.type_id
  LEFT JOIN system s ON s.id = t.system_id
  LEFT JOIN run_population p ON p.run_id = $1 AND p.point = $2 AND p.type_id = c.type_id
 ORDER BY c.type_id, c.op
