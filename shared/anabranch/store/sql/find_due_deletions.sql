-- With a run: what it scheduled, and of the types that may be inherited ($4) what was due at once in a run that is over.
-- Without: everything. Of what somebody else scheduled only what is ripe: the matching of that run, or of a later one of
-- its system, has closed; before that a new join may still rescue the object (SYN-94).
SELECT m.type_id, m.id
  FROM mvo m
  LEFT JOIN run scheduler ON scheduler.id = (m.deletion ->> 'run')::bigint
 CROSS JOIN LATERAL (SELECT scheduler.system_id IS NULL
                            OR EXISTS (SELECT
                                         FROM run r
                                         JOIN run_step p ON p.run_id = r.id
                                        WHERE r.system_id = scheduler.system_id
                                          AND r.id >= scheduler.id
                                          AND p.name = 'match.settle'
                                          AND p.state IN ('closed', 'closed_errors'))) AS matched (is_ripe)
 WHERE m.state = 'pending_deletion'
   AND m.type_id = ANY($2::integer[])
   AND m.delete_after <= $3
   AND CASE WHEN $1::bigint IS NULL THEN is_ripe
            WHEN scheduler.id = $1 THEN true
            ELSE m.type_id = ANY($4::integer[])
                 AND scheduler.ended_at IS NOT NULL
                 AND m.delete_after <= scheduler.now
                 AND is_ripe
       END
 ORDER BY m.type_id, m.id
