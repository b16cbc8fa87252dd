-- The MVOs of a set as their targets see them, in id order; `objects` is a statement that selects their ids as `id`. The
-- bounds of the set are told of the tables too, as in `pick_csos`.
SELECT m.id, m.type_id, m.origin_key, m.state, m.delete_after, m.doc, s.change_seq
  FROM (@objects) AS object
  JOIN mvo m ON m.id = object.id
  JOIN mvo_sync s ON s.mvo_id = object.id
 WHERE m.id BETWEEN $1 AND $2
   AND s.mvo_id BETWEEN $1 AND $2
 ORDER BY m.id
