UPDATE proposal p
   SET n = u.n
  FROM unnest($3::bigint[]) WITH ORDINALITY AS u (object_id, n)
 WHERE p.run_id = $1 AND p.kind = $2 AND p.object_id = u.object_id
