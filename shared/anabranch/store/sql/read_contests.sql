-- Packed: the objects by place, and pairs of a place and a contest.
WITH placed AS MATERIALIZED (
    SELECT object_id, body -> 'contests' AS contests, row_number() OVER (ORDER BY order_key, object_id) - 1 AS place
      FROM proposal
     WHERE run_id = $1 AND kind = $2
)
SELECT coalesce((SELECT string_agg(int8send(object_id), '' ORDER BY place) FROM placed), ''::bytea),
       coalesce((SELECT string_agg(int8send(place) || int8send(c.contest::bigint), '')
                   FROM placed CROSS JOIN LATERAL jsonb_array_elements_text(contests) AS c (contest)), ''::bytea)
