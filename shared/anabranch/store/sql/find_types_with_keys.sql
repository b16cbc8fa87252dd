SELECT t.id
  FROM unnest($1::integer[]) AS t (id)
 WHERE EXISTS (SELECT FROM match_key k WHERE k.type_id = t.id)
