-- With a run: what it scheduled, and of the types that it inherits ($4) what was due at once in a run of its system that is
-- over. Without: all but those whose scheduling run, and every later run of its system, has not closed its matching yet,
-- where a new join may still rescue the object (SYN-94).
SELECT m.type_id, m.id
  FROM mvo m
  LEFT JOIN run scheduler ON scheduler.id = (m.deletion ->> 'run')::bigint
 WHERE m.state = 'pending_deletion'
   AND m.type_id = ANY($2::integer[])
   AND m.delete_after <= $3
   AND CASE WHEN $1::bigint IS NOT NULL THEN
                scheduler.id = $1
                OR (m.type_id = ANY($4::integer[])
                    AND scheduler.ended_at IS NOT NULL
                    AND m.delete_after <= scheduler.now
                    AND scheduler.system_id = (SELECT system_id FROM run WHERE id = $1))
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
