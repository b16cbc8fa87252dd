-- What is needed to record that an export was carried out.
SELECT e.id, e.version, e.kind, e.rows::text, e.all_sent,
       c.id, c.type_id, s.system_id, s.mvo_id, c.state, c.partition, c.anchor, c.anchor_hash, c.secondary, c.secondary_hash, c.doc,
       s.change_seq, s.link_version
  FROM pending_export e
  JOIN cso c ON c.id = e.cso_id
  JOIN cso_sync s ON s.cso_id = e.cso_id
 WHERE e.id = ANY($1::bigint[])
 ORDER BY e.id
