-- MVOs owed an outbound evaluation, each once: marked ones, then quiet ones with a stale stamp, then quiet and fresh ones
-- that time has turned. Minimum and maximum tell whether a type has any stale one. One that a source's object was taken
-- from waits until that run, or a later one of its system, has closed its matching: before that it may get another.
WITH stamp AS MATERIALIZED (
    SELECT * FROM unnest($3::integer[], $4::bigint[]) AS t (type_id, outbound_stamp)
), stale_type AS MATERIALIZED (
    SELECT t.type_id, t.outbound_stamp
      FROM stamp t
     WHERE (SELECT min(m.outbound_stamp) FROM mvo_sync m WHERE m.type_id = t.type_id AND m.evaluated
               AND NOT m.outbound_due) < t.outbound_stamp
        OR (SELECT max(m.outbound_stamp) FROM mvo_sync m WHERE m.type_id = t.type_id AND m.evaluated
               AND NOT m.outbound_due) > t.outbound_stamp
)
SELECT m.mvo_id AS id
  FROM stamp t
  JOIN mvo_sync m ON m.type_id = t.type_id
 WHERE m.outbound_due AND m.evaluated AND m.mvo_id BETWEEN $1 AND $2
   AND (m.parted_in IS NULL OR NOT may_be_joined_again(m.parted_in))
UNION ALL
SELECT m.mvo_id
  FROM stale_type t
  JOIN mvo_sync m ON m.type_id = t.type_id
 WHERE NOT m.outbound_due AND m.evaluated AND m.mvo_id BETWEEN $1 AND $2
   AND m.outbound_stamp <> t.outbound_stamp AND m.outbound_version < $5
UNION ALL
SELECT m.mvo_id
  FROM stamp t
  JOIN mvo_sync m ON m.type_id = t.type_id
 WHERE NOT m.outbound_due AND m.evaluated AND m.mvo_id BETWEEN $1 AND $2
   AND m.outbound_turns_at <= $6 AND m.outbound_turns_at IS NOT NULL
   AND NOT (m.outbound_stamp <> t.outbound_stamp AND m.outbound_version < $5)
