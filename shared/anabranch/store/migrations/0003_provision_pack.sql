-- The step `unpack` moves the numbers of the steps behind it, and a run knows its steps by number.
DO $$
DECLARE
    under_way text;
BEGIN
    SELECT string_agg(format('%s (%s, %s)', id, profile, state), ', ' ORDER BY id) INTO under_way
      FROM run
     WHERE started_at IS NOT NULL AND ended_at IS NULL;
    IF under_way IS NOT NULL THEN
        RAISE EXCEPTION 'these runs are not over: %; let them end, or decide about them, with the version of anabranch that started them, and migrate then', under_way;
    END IF;
END $$;

-- Some dozens of new objects of one type of a target, with the pending creates that are to bring them there: what
-- would otherwise be a row of `cso`, of `cso_sync` and of `pending_export` each. An export of a file takes a pack as it
-- is; whoever else would have to see its objects first makes rows of it (the step `unpack`). In order of anchor.
CREATE TABLE provision_pack (
    id             bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    system_id      integer NOT NULL,
    type_id        integer NOT NULL,
    mvo_type_id    integer NOT NULL,
    rule           text COLLATE "C" NOT NULL,
    staged_run     bigint NOT NULL,
    config_version integer NOT NULL,
    staged_now     timestamptz NOT NULL,
    -- The export run whose assess counted it.
    counted_in     bigint,
    objects        integer NOT NULL,
    lo_anchor      text COLLATE "C" NOT NULL,
    hi_anchor      text COLLATE "C" NOT NULL,
    lo_mvo         bigint NOT NULL,
    hi_mvo         bigint NOT NULL,
    -- For each object: its id, that of its export, its MVO and the number that was seen of it, its anchor, and what it is
    -- created with by attribute. JSON text: it is read as a whole.
    body           json NOT NULL
) WITH (fillfactor = 80);
ALTER TABLE provision_pack ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN body SET STATISTICS 0;
CREATE INDEX provision_pack_system ON provision_pack (system_id);
CREATE INDEX provision_pack_mvos ON provision_pack (mvo_type_id, lo_mvo);

-- Each object of the packs by itself, for people and for what has to see all objects alike.
CREATE VIEW packed_create AS
SELECT p.id AS pack_id, p.system_id, p.type_id, p.mvo_type_id, p.rule, p.staged_run, p.config_version,
       (o.one ->> 0)::bigint AS cso_id, (o.one ->> 1)::bigint AS export_id, (o.one ->> 2)::bigint AS mvo_id,
       o.one ->> 4 AS anchor, o.one -> 5 AS sets,
       coalesce(y.key, p.system_id::text) || '/' || coalesce(t.key, p.type_id::text) || '/anchor=' || (o.one ->> 4) AS key
  FROM provision_pack p
 CROSS JOIN LATERAL json_array_elements(p.body) AS o (one)
  LEFT JOIN system y ON y.id = p.system_id
  LEFT JOIN object_type t ON t.id = p.type_id;
