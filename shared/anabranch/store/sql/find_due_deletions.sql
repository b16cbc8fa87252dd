-- With a run: what it scheduled. Without: all but those whose scheduling run, and every later run of its system, has not
-- closed its matching yet, where a new join may still rescue the object (SYN-94).
SELECT m.type_id, m.id
  FROM mvo m
  LEFT JOIN run scheduler ON scheduler.id = (m.deletion ->> 'run')::bigint
 WHERE m.state = 'pending_deletion'
   AND m.type_id = ANY($2::integer[])
   AND m.delete_after <= $3
   AND CASE WHEN $1::bigint IS NOT NULL THEN (m.deletion ->> 'run')::bigint = $1
            ELSE scheduler.system_id IS NULL
                 OR EXISTS (SELECT
                              FROM run r
                              JOIN run_step p ON p.run_id = r.id
                             WHERE r.system_id = scheduler.system_id
                               AND r.id >= scheduler.id
                               AND p.name = 'match.settle'
                               AND p.state IN ('closed', 'closed_errors'))
       END
 ORDER BY m.type_id, m.id
