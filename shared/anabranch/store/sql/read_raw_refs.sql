SELECT cso_id, attr, raw
  FROM cso_ref
 WHERE cso_id = ANY($1::bigint[]) AND attr = ANY($2::text[])
 ORDER BY cso_id, attr, raw
