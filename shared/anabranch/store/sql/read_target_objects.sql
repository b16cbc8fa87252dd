-- No more than a file is written from, each object with what waits for it; in any order.
SELECT c.id, c.type_id, c.anchor, c.anchor_hash IS NOT NULL, c.secondary, c.state, c.doc, e.id, e.version, e.kind, e.rows::text,
       e.all_sent
  FROM cso c
  LEFT JOIN pending_export e ON e.cso_id = c.id
 WHERE c.id = ANY($1::bigint[])
