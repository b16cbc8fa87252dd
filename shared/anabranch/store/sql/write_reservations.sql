-- A value held by another MVO is not taken over: it is missing from the count. One that was released may be, the caller
-- having judged by the run's own time that it is free again.
WITH drawn AS (
    INSERT INTO reservation AS r (name, value_hash, value, mvo_id, free_after)
    SELECT u.name, u.value_hash, u.value, u.mvo_id, u.free_after
      FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[], $5::timestamptz[])
           AS u (name, value_hash, value, mvo_id, free_after)
     ORDER BY u.name, u.value_hash
        ON CONFLICT (name, value_hash) DO UPDATE
       SET value = excluded.value, mvo_id = excluded.mvo_id, released_at = NULL, free_after = excluded.free_after
     WHERE r.mvo_id IS NULL OR r.mvo_id = excluded.mvo_id
 RETURNING 1
)
SELECT count(*) FROM drawn
