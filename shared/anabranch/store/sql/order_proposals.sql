-- Joined by the place of the row, which is a look-up whatever the planner believes of the table's size.
WITH numbered AS (
    UPDATE proposal p
       SET n = o.n
      FROM (SELECT ctid AS place, row_number() OVER (ORDER BY order_key, object_id) AS n
              FROM proposal
             WHERE run_id = $1 AND kind = $2) AS o
     WHERE p.ctid = o.place
 RETURNING 1
)
SELECT count(*) FROM numbered
