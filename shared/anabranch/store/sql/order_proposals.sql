WITH numbered AS (
    UPDATE proposal p
       SET n = o.n
      FROM (SELECT object_id, row_number() OVER (ORDER BY order_key, object_id) AS n
              FROM proposal
             WHERE run_id = $1 AND kind = $2) AS o
     WHERE p.run_id = $1 AND p.kind = $2 AND p.object_id = o.object_id
 RETURNING 1
)
SELECT count(*) FROM numbered
