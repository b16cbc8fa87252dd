-- Pictures of the MVOs of a set, in id order; `objects` is a statement that selects their ids as `id`.
SELECT m.id, m.type_id, m.origin_key, m.state, m.delete_after, m.deletion, m.doc, m.provenance, m.evaluated,
       m.outbound_due, m.outbound_stamp, m.outbound_version, m.change_seq
  FROM (@objects) AS object
  JOIN mvo m ON m.id = object.id
 ORDER BY m.id
