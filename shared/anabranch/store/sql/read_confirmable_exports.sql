-- An export that was sent may hold newer rows beside the sent ones: it is ready, and its sent rows can be judged.
-- Three ordered scans that stop at the limit: one scan over all states would sort everything for each page.
SELECT id, cso_id, type_id, system_id, mvo_id, kind, state, rows::text AS rows, all_sent, rule, staged_run, config_version, staged_now,
       seen_seq, sent_seq, waiting, attempts, not_before, failure, version
  FROM ((SELECT * FROM pending_export
          WHERE system_id = $1 AND state = 'exported' AND id > $2 ORDER BY id LIMIT $3)
        UNION ALL
        (SELECT * FROM pending_export
          WHERE system_id = $1 AND state = 'unconfirmed' AND id > $2 ORDER BY id LIMIT $3)
        UNION ALL
        (SELECT * FROM pending_export
          WHERE system_id = $1 AND state = 'ready' AND sent_seq IS NOT NULL AND id > $2 ORDER BY id LIMIT $3)) AS sent
 ORDER BY id
 LIMIT $3
