-- All keys of some attributes; see `keyed`.
WITH gone AS (
    SELECT * FROM unnest($1::integer[], $2::text[]) AS g (type_id, attr)
), of_mvos AS (
    DELETE FROM match_key k USING gone g WHERE k.type_id = g.type_id AND k.attr = g.attr
), of_csos AS (
    DELETE FROM cso_key k USING gone g WHERE k.type_id = g.type_id AND k.attr = g.attr
)
DELETE FROM keyed k USING gone g WHERE k.type_id = g.type_id AND k.attr = g.attr
