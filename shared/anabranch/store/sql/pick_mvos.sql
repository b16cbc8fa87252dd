-- Pictures of the MVOs of a set, in id order; `objects` is a statement that selects their ids as `id`.
SELECT p.*
  FROM (@objects) AS object
  JOIN mvo_picture p ON p.id = object.id
 ORDER BY p.id
