-- Two ordered scans that stop at the limit: one scan over both states would sort everything for each page.
SELECT id, cso_id, type_id, system_id, mvo_id, kind, state, rows, rule, staged_run, config_version, staged_now, seen_seq,
       sent_seq, attempts, not_before, failure, version
  FROM ((SELECT * FROM pending_export
          WHERE system_id = $1 AND state = 'exported' AND id > $2 ORDER BY id LIMIT $3)
        UNION ALL
        (SELECT * FROM pending_export
          WHERE system_id = $1 AND state = 'unconfirmed' AND id > $2 ORDER BY id LIMIT $3)) AS sent
 ORDER BY id
 LIMIT $3
