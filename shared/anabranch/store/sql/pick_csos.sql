-- Pictures of the CSOs of a set, in id order; `objects` is a statement that selects their ids as `id`. The bounds of the
-- set are told of the picture too: joined in order of ids, it would be gone through from its beginning otherwise.
SELECT p.*
  FROM (@objects) AS object
  JOIN cso_picture p ON p.id = object.id
 WHERE p.id BETWEEN $1 AND $2
 ORDER BY p.id
