-- Packs of a tripped type go back to where they wait.
WITH tripped AS (
    SELECT f.type_id, f.op FROM unnest($3::integer[], $4::text[]) AS f (type_id, op)
), held AS (
    UPDATE guard_op g SET verdict = 'held'
    FROM tripped f
    WHERE g.run_id = $1 AND g.point = $2 AND g.type_id = f.type_id AND g.op = f.op AND g.verdict = 'listed'
    RETURNING g.object_id
), kept AS (
    UPDATE provision_pack p SET counted_in = NULL
    FROM tripped f
    WHERE $2 = 'export_writes' AND p.counted_in = $1 AND p.type_id = f.type_id AND f.op = 'create'
    RETURNING p.objects
)
SELECT (SELECT count(*) FROM held) + (SELECT coalesce(sum(objects), 0) FROM kept)
