SELECT jsonb_build_array(r.name, r.value, m.key)::text AS line
  FROM reservation r
  LEFT JOIN mvo_name m ON m.id = r.mvo_id
 ORDER BY r.name, r.value, line
