DELETE FROM cso_ref r
 USING unnest($1::bigint[], $2::text[], $3::text[]) AS u (cso_id, attr, raw)
 WHERE r.cso_id = u.cso_id AND r.attr = u.attr AND r.raw = u.raw
