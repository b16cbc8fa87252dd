-- CSOs due for evaluation (SYN-2), each once: changed or failed ones, then quiet ones whose rules are stale, then quiet
-- and fresh ones that time has turned. The least changed id, and the least and greatest stored stamp of a type, tell at
-- once whether there is anything to look for: nothing due costs a few look-ups. A CSO that was never evaluated
-- (version 0) may be younger than the run: only its number tells.
WITH stamp AS MATERIALIZED (
    SELECT * FROM unnest($4::integer[], $5::bigint[]) AS t (type_id, rule_stamp)
), stale_type AS MATERIALIZED (
    SELECT t.type_id, t.rule_stamp
      FROM stamp t
     WHERE (SELECT min(s.rule_stamp) FROM cso_sync s WHERE s.type_id = t.type_id AND s.state = 'normal'
               AND NOT s.changed) < t.rule_stamp
        OR (SELECT max(s.rule_stamp) FROM cso_sync s WHERE s.type_id = t.type_id AND s.state = 'normal'
               AND NOT s.changed) > t.rule_stamp
)
SELECT s.cso_id AS id
  FROM cso_sync s
  JOIN stamp t ON t.type_id = s.type_id
 WHERE s.system_id = $3
   AND s.cso_id BETWEEN $1 AND $2
   AND s.state = 'normal'
   AND s.changed
   AND (SELECT min(f.cso_id) FROM cso_sync f
         WHERE f.system_id = $3 AND f.state = 'normal' AND f.changed) IS NOT NULL
   AND ($9::boolean IS NULL OR (s.mvo_id IS NOT NULL) = $9)
   AND ($10::bigint IS NULL OR s.settled_in <> $10)
   AND (s.failed
        OR s.change_seq <= $8
        OR (s.rule_stamp <> t.rule_stamp AND s.config_version > 0 AND s.config_version < $6)
        OR s.turns_at <= $7)
UNION ALL
SELECT s.cso_id
  FROM stale_type t
  JOIN cso_sync s ON s.type_id = t.type_id
 WHERE s.system_id = $3
   AND s.cso_id BETWEEN $1 AND $2
   AND s.state = 'normal'
   AND NOT s.changed
   AND ($9::boolean IS NULL OR (s.mvo_id IS NOT NULL) = $9)
   AND ($10::bigint IS NULL OR s.settled_in <> $10)
   AND s.rule_stamp <> t.rule_stamp
   AND s.config_version < $6
   AND (s.config_version > 0 OR s.change_seq <= $8)
UNION ALL
SELECT s.cso_id
  FROM cso_sync s
  JOIN stamp t ON t.type_id = s.type_id
 WHERE s.system_id = $3
   AND s.cso_id BETWEEN $1 AND $2
   AND s.state = 'normal'
   AND NOT s.changed
   AND ($9::boolean IS NULL OR (s.mvo_id IS NOT NULL) = $9)
   AND ($10::bigint IS NULL OR s.settled_in <> $10)
   AND s.turns_at <= $7 AND s.turns_at IS NOT NULL
   AND NOT (s.rule_stamp <> t.rule_stamp AND s.config_version < $6
            AND (s.config_version > 0 OR s.change_seq <= $8))
