DELETE FROM match_key k
 USING unnest($1::bigint[], $2::text[], $3::bytea[]) AS u (mvo_id, attr, key_hash)
 WHERE k.mvo_id = u.mvo_id AND k.attr = u.attr AND k.key_hash = u.key_hash
