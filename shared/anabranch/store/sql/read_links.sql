-- By the narrow row alone it is decided which of them are read.
SELECT p.*
  FROM (SELECT cso_id AS id
          FROM cso_sync
         WHERE mvo_id = ANY($1::bigint[]) AND mvo_id IS NOT NULL AND cso_id NOT IN (SELECT unnest($2::bigint[]))
        OFFSET 0) AS link
  JOIN cso_picture p ON p.id = link.id
 ORDER BY p.id
