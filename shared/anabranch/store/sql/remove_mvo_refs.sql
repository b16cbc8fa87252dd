DELETE FROM mvo_ref r
 USING unnest($1::bigint[], $2::text[], $3::bigint[]) AS u (mvo_id, attr, target_mvo_id)
 WHERE r.mvo_id = u.mvo_id AND r.attr = u.attr AND r.target_mvo_id = u.target_mvo_id
