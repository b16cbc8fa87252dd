SELECT g.type_id, t.key AS type, s.key AS system, g.op, count(*) AS count, coalesce(p.population, 0) AS population
FROM guard_op g
JOIN object_type t ON t.id = g.type_id
LEFT JOIN system s ON s.id = t.system_id
LEFT JOIN run_population p ON p.run_id = g.run_id AND p.point = g.point AND p.type_id = g.type_id
WHERE g.run_id = $1 AND g.point = $2 AND g.verdict = 'listed'
GROUP BY g.type_id, t.key, s.key, g.op, p.population
ORDER BY g.type_id, g.op
