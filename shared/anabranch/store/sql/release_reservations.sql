UPDATE reservation r
   SET mvo_id = NULL, released_at = anabranch_now(), free_after = u.free_after
  FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS u (mvo_id, name, free_after)
 WHERE r.mvo_id = u.mvo_id AND r.mvo_id IS NOT NULL AND r.name = u.name
