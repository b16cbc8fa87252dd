-- Their CSOs stay, unjoined and marked as released; who referred to them loses the reference and owes an evaluation.
WITH released AS (
    UPDATE cso_sync
       SET mvo_id = NULL, join_type = 'none', join_rule = NULL, contributions = NULL, released = true,
           link_version = link_version + 1
     WHERE mvo_id = ANY($1::bigint[]) AND mvo_id IS NOT NULL
), keys AS (
    DELETE FROM match_key WHERE mvo_id = ANY($1)
), own AS (
    DELETE FROM mvo_ref WHERE mvo_id = ANY($1)
), lost AS (
    DELETE FROM mvo_ref WHERE target_mvo_id = ANY($1) AND NOT mvo_id = ANY($1) RETURNING mvo_id
), marked AS (
    UPDATE mvo_sync
       SET outbound_due = true, change_seq = nextval('change_seq')
     WHERE mvo_id IN (SELECT mvo_id FROM lost)
), sync AS (
    DELETE FROM mvo_sync WHERE mvo_id = ANY($1)
)
DELETE FROM mvo WHERE id = ANY($1)
