WITH held AS (
    UPDATE guard_op g SET verdict = 'held'
    FROM unnest($3::integer[], $4::text[]) AS f (type_id, op)
    WHERE g.run_id = $1 AND g.point = $2 AND g.type_id = f.type_id AND g.op = f.op AND g.verdict = 'listed'
    RETURNING g.object_id
)
SELECT count(*) FROM held
