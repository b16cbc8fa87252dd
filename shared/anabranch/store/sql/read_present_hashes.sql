-- The next $5 objects above $4, 24 bytes each: id and anchor hash.
SELECT string_agg(int8send(id) || anchor_hash, ''::bytea) AS packed
  FROM (SELECT id, anchor_hash
          FROM cso
         WHERE id > $4
           AND type_id = $1
           AND ($2::text IS NULL OR partition = $2)
           AND change_seq <= $3
           AND state = 'normal'
           AND anchor_hash IS NOT NULL
         ORDER BY id
         LIMIT $5) AS present
