WITH given AS (
    SELECT * FROM unnest($2::integer[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::integer[],
                         $8::integer[], $9::interval[], $10::text[])
        AS g (grp, n, profile, kind, system_id, page_size, batch_size, deadline_after, span_id)
), inserted AS (
    INSERT INTO run (execution_id, grp, n, profile, kind, system_id, config_version, page_size, batch_size,
                     deadline_after, span_id)
    SELECT $1, grp, n, profile, kind, system_id, $11, page_size, batch_size, deadline_after, span_id
    FROM given ORDER BY grp, n
    RETURNING id, grp, n, profile
)
INSERT INTO execution_step (execution_id, grp, n, profile, run_id) SELECT $1, grp, n, profile, id FROM inserted
