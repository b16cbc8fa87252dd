-- A log of what was committed, kept by triggers in the database of a disturbed site: only there, never in the product.
-- `n` is drawn while the row is locked, so for one row its order is the order of the commits.
CREATE TABLE chaos_log (
    n    bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tx   bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    at   double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    by   text NOT NULL DEFAULT current_setting('application_name'),
    what text NOT NULL,
    id   bigint NOT NULL,
    sub  integer NOT NULL DEFAULT 0,
    was  jsonb,
    now  jsonb
);

CREATE FUNCTION chaos_batch(b batch) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('state', b.state, 'claim', b.claim, 'epoch', b.epoch, 'owner', b.owner,
                              'failures', b.failures, 'losses', b.losses, 'cursor', b.cursor) $$;
CREATE FUNCTION chaos_batches_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_log (what, id, now) SELECT 'batch', b.id, chaos_batch(b) FROM fresh b ORDER BY b.id;
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_batches_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A commit without a fence may end what has ended: it changes nothing that is compared, and must be seen.
    INSERT INTO chaos_log (what, id, was, now)
    SELECT 'batch', b.id, chaos_batch(o), chaos_batch(b) FROM fresh b JOIN stale o ON o.id = b.id
    WHERE chaos_batch(o) <> chaos_batch(b) OR b.ended_at IS DISTINCT FROM o.ended_at OR b.counters <> o.counters
    ORDER BY b.id;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_made AFTER INSERT ON batch REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_batches_made();
CREATE TRIGGER chaos_changed AFTER UPDATE ON batch REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_batches_changed();

CREATE FUNCTION chaos_steps_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_log (what, id, sub, was, now)
    SELECT 'step', s.run_id, s.ordinal, jsonb_build_object('state', o.state), jsonb_build_object('state', s.state)
    FROM fresh s JOIN stale o USING (run_id, ordinal) WHERE s.state <> o.state OR s.fired <> o.fired;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_changed AFTER UPDATE ON run_step REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_steps_changed();

CREATE FUNCTION chaos_runs_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_log (what, id, was, now)
    SELECT 'run', r.id, jsonb_build_object('state', o.state), jsonb_build_object('state', r.state)
    FROM fresh r JOIN stale o USING (id) WHERE r.state <> o.state ORDER BY r.id;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_changed AFTER UPDATE ON run REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_runs_changed();

-- Objects: the narrow rows, which are written whenever the wide ones are, with the number of the change. The triggers
-- are told the name of the kind of object and the column of its number.
CREATE FUNCTION chaos_objects_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO chaos_log (what, id, now) SELECT %1$L, o.%2$I, jsonb_build_object(''seq'', o.change_seq)'
                   '  FROM fresh o ORDER BY o.%2$I', tg_argv[0], tg_argv[1]);
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_objects_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO chaos_log (what, id, was, now) SELECT %1$L, o.%2$I,'
                   '  jsonb_build_object(''seq'', s.change_seq), jsonb_build_object(''seq'', o.change_seq)'
                   '  FROM fresh o JOIN stale s ON s.%2$I = o.%2$I WHERE o.change_seq <> s.change_seq ORDER BY o.%2$I',
                   tg_argv[0], tg_argv[1]);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_made AFTER INSERT ON cso_sync REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_objects_made('cso', 'cso_id');
CREATE TRIGGER chaos_changed AFTER UPDATE ON cso_sync REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_objects_changed('cso', 'cso_id');
CREATE TRIGGER chaos_made AFTER INSERT ON mvo_sync REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_objects_made('mvo', 'mvo_id');
CREATE TRIGGER chaos_changed AFTER UPDATE ON mvo_sync REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION chaos_objects_changed('mvo', 'mvo_id');
