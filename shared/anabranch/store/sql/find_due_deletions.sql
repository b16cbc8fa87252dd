-- With a run: what it scheduled, and of the types that it inherits ($4) what was due at once in a run of its system that is
-- over; nothing of which another system's sync has just taken an object. Without: all but those whose scheduling run, and
-- every later run of its system, has not closed its matching yet, where a new join may still rescue the object (SYN-94).
SELECT m.type_id, m.id
  FROM mvo m
  JOIN mvo_sync s ON s.mvo_id = m.id
  LEFT JOIN run scheduler ON scheduler.id = (m.deletion ->> 'run')::bigint
 WHERE m.state = 'pending_deletion'
   AND m.type_id = ANY($2::integer[])
   AND m.delete_after <= $3
   AND (s.parted_in IS NULL OR NOT may_be_joined_again(s.parted_in))
   AND CASE WHEN $1::bigint IS NULL THEN NOT may_be_joined_again(scheduler.id)
            ELSE scheduler.id = $1
                 OR (m.type_id = ANY($4::integer[])
                     AND scheduler.ended_at IS NOT NULL
                     AND m.delete_after <= scheduler.now
                     AND scheduler.system_id = (SELECT system_id FROM run WHERE id = $1))
       END
 ORDER BY m.type_id, m.id
