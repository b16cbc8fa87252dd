-- Whether an MVO of these types has changed since the last sync of the system, other than this run, that settled its
-- matches began: an object that found no partner then may find one now (SYN-2).
SELECT EXISTS (
    SELECT
      FROM mvo_sync
     WHERE type_id = ANY($3::integer[])
       AND change_seq > coalesce(
               (SELECT max(r.start_seq)
                  FROM run r
                  JOIN run_step p ON p.run_id = r.id
                 WHERE r.system_id = $1
                   AND r.id <> $2
                   AND p.name = 'match.settle'
                   AND p.state IN ('closed', 'closed_errors')), 0))
