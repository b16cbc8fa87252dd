DELETE FROM cso_key k
 USING unnest($1::bigint[], $2::text[], $3::bytea[]) AS u (cso_id, attr, key_hash)
 WHERE k.cso_id = u.cso_id AND k.attr = u.attr AND k.key_hash = u.key_hash
