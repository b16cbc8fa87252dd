-- The spine's tables. Text keys use COLLATE "C": the canonical order must not depend on a server's locale.
-- Time is asked for by anabranch_now() alone, so that a test can move it without touching any clock.

CREATE FUNCTION anabranch_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() $$;

-- A lease that reaches further ahead than one lease was written by a wrong clock: it is over too.
CREATE FUNCTION lease_is_over(lease_until timestamptz, lease interval) RETURNS boolean LANGUAGE sql VOLATILE
    AS $$ SELECT lease_until < anabranch_now() OR lease_until > anabranch_now() + lease $$;
CREATE FUNCTION batch_is_due(state text, not_before timestamptz, lease_until timestamptz, lease interval)
    RETURNS boolean LANGUAGE sql VOLATILE
    AS $$ SELECT state = 'ready' AND (not_before IS NULL OR not_before <= anabranch_now())
                 OR state = 'leased' AND lease_is_over(lease_until, lease) $$;

-- Every change of an object takes the next number (MOD-22). No cache: a cached number could be older than a lock.
CREATE SEQUENCE change_seq AS bigint CACHE 1;

-- Hi-lo: one number of a block sequence stands for 1,000 ids of its table.
CREATE SEQUENCE cso_block AS bigint;
CREATE SEQUENCE mvo_block AS bigint;
CREATE SEQUENCE export_block AS bigint;
CREATE SEQUENCE import_row_block AS bigint;

---------------------------------------------------------------- configuration

CREATE TABLE config_version (
    version      integer PRIMARY KEY,
    digest       text COLLATE "C" NOT NULL,
    document     jsonb NOT NULL,
    stamps       jsonb NOT NULL,
    change_class text COLLATE "C" NOT NULL,
    difference   jsonb NOT NULL,
    author       text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    applied_at   timestamptz NOT NULL DEFAULT anabranch_now()
);

CREATE TABLE system (
    id    integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    key   text COLLATE "C" NOT NULL UNIQUE,
    state text COLLATE "C" NOT NULL DEFAULT 'active',
    max_parallel_exports integer NOT NULL DEFAULT 1
);

-- Object types of systems and metaverse types (system_id null) share one number space.
CREATE TABLE object_type (
    id        integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    system_id integer REFERENCES system,
    key       text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX object_type_key ON object_type (coalesce(system_id, 0), key);

-- A mapping keeps its number through all revisions; provenance and contributions name it.
CREATE TABLE mapping (
    id  integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    key text COLLATE "C" NOT NULL UNIQUE
);

---------------------------------------------------------------- the fleet

CREATE TABLE fleet_bus (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL DEFAULT 1
);
INSERT INTO fleet_bus DEFAULT VALUES;

CREATE TABLE fleet_term (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    term        bigint NOT NULL DEFAULT 0,
    holder      text COLLATE "C",
    lease_until timestamptz
);
INSERT INTO fleet_term DEFAULT VALUES;

CREATE TABLE worker (
    id         text COLLATE "C" PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    boot_id    text COLLATE "C" NOT NULL,
    host       text NOT NULL,
    pid        integer NOT NULL,
    state      text COLLATE "C" NOT NULL DEFAULT 'running',
    started_at timestamptz NOT NULL DEFAULT anabranch_now(),
    last_beat  timestamptz NOT NULL DEFAULT anabranch_now(),
    holds      bigint[] NOT NULL DEFAULT '{}'
);

CREATE TABLE execution (
    id             bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name           text COLLATE "C" NOT NULL,
    state          text COLLATE "C" NOT NULL DEFAULT 'queued',
    config_version integer NOT NULL REFERENCES config_version,
    now            timestamptz,
    continue_on_failure boolean NOT NULL DEFAULT false,
    actor          text NOT NULL DEFAULT '',
    trace_id       text COLLATE "C" NOT NULL,
    span_id        text COLLATE "C" NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT anabranch_now(),
    started_at     timestamptz,
    ended_at       timestamptz
);

CREATE TABLE run (
    id             bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    execution_id   bigint NOT NULL REFERENCES execution,
    grp            integer NOT NULL,
    n              integer NOT NULL,
    profile        text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    system_id      integer REFERENCES system,
    state          text COLLATE "C" NOT NULL DEFAULT 'queued',
    leads_to       text COLLATE "C",
    failed_reason  text COLLATE "C",
    message        text,
    pause_reasons  text[] NOT NULL DEFAULT '{}',
    config_version integer NOT NULL REFERENCES config_version,
    now            timestamptz,
    start_seq      bigint,
    page_size      integer NOT NULL,
    batch_size     integer NOT NULL,
    deadline_after interval NOT NULL,
    deadline       timestamptz,
    held_since     timestamptz,
    ending_since   timestamptz,
    span_id        text COLLATE "C" NOT NULL,
    totals         jsonb NOT NULL DEFAULT '{}',
    requested_at   timestamptz NOT NULL DEFAULT anabranch_now(),
    started_at     timestamptz,
    ended_at       timestamptz,
    UNIQUE (execution_id, grp, n)
);
-- One active run per connected system (SCH-19); housekeeping once in the fleet.
CREATE UNIQUE INDEX run_slot ON run (coalesce(system_id, 0))
    WHERE state IN ('running', 'held', 'paused', 'cancelling');
CREATE INDEX run_open ON run (state) WHERE ended_at IS NULL;

CREATE TABLE execution_step (
    execution_id bigint NOT NULL REFERENCES execution,
    grp          integer NOT NULL,
    n            integer NOT NULL,
    profile      text COLLATE "C" NOT NULL,
    run_id       bigint REFERENCES run,
    PRIMARY KEY (execution_id, grp, n)
);

CREATE TABLE run_step (
    run_id    bigint NOT NULL REFERENCES run,
    ordinal   integer NOT NULL,
    name      text COLLATE "C" NOT NULL,
    state     text COLLATE "C" NOT NULL DEFAULT 'open',
    fired     integer NOT NULL DEFAULT 0 CHECK (fired <= 1),
    expected  integer,
    total     bigint,
    counters  jsonb NOT NULL DEFAULT '{}',
    span_id   text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT anabranch_now(),
    sealed_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (run_id, ordinal)
);
CREATE INDEX run_step_open ON run_step (run_id) WHERE state IN ('open', 'sealed');

CREATE TABLE batch (
    id              bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run_id          bigint NOT NULL,
    ordinal         integer NOT NULL,
    producer        bigint NOT NULL,
    n               integer NOT NULL,
    worker_kind     text COLLATE "C" NOT NULL,
    role            text COLLATE "C" NOT NULL CHECK (role IN ('plan', 'work', 'record')),
    system_id       integer,
    payload         jsonb NOT NULL DEFAULT '{}',
    total           bigint NOT NULL DEFAULT 0,
    state           text COLLATE "C" NOT NULL,
    waits_for       bigint REFERENCES batch,
    seals           boolean NOT NULL DEFAULT false,
    version         integer NOT NULL DEFAULT 1,
    claim           text COLLATE "C",
    epoch           integer NOT NULL DEFAULT 0,
    owner           text COLLATE "C",
    lease_until     timestamptz,
    lease           interval,
    failures        integer NOT NULL DEFAULT 0,
    losses          integer NOT NULL DEFAULT 0,
    not_before      timestamptz,
    published_at    timestamptz,
    published_epoch bigint,
    cursor          jsonb,
    counters        jsonb NOT NULL DEFAULT '{}',
    error           text,
    span_id         text COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT anabranch_now(),
    started_at      timestamptz,
    ended_at        timestamptz,
    FOREIGN KEY (run_id, ordinal) REFERENCES run_step,
    UNIQUE (run_id, ordinal, producer, n)
) WITH (fillfactor = 80);
CREATE INDEX batch_unfinished ON batch (worker_kind, state) WHERE state IN ('blocked', 'ready', 'leased');
CREATE INDEX batch_claim ON batch (claim) WHERE state = 'leased';
CREATE INDEX batch_waits ON batch (waits_for) WHERE state = 'blocked';

CREATE TABLE batch_attempt (
    batch_id   bigint NOT NULL REFERENCES batch,
    epoch      integer NOT NULL,
    claim      text COLLATE "C" NOT NULL,
    worker     text COLLATE "C" NOT NULL,
    span_id    text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT anabranch_now(),
    ended_at   timestamptz,
    outcome    text COLLATE "C",
    error      text,
    PRIMARY KEY (batch_id, epoch)
);

CREATE TABLE sync_turn (
    mvo_type_id integer PRIMARY KEY REFERENCES object_type,
    run_id      bigint NOT NULL REFERENCES run
);

-- Runs that found their turn taken wait here; the one that started first goes on first.
CREATE TABLE turn_wait (
    mvo_type_id integer NOT NULL REFERENCES object_type,
    run_id      bigint NOT NULL REFERENCES run,
    PRIMARY KEY (mvo_type_id, run_id)
);

CREATE TABLE run_population (
    run_id     bigint NOT NULL REFERENCES run,
    point      text COLLATE "C" NOT NULL,
    type_id    integer NOT NULL REFERENCES object_type,
    population bigint NOT NULL,
    PRIMARY KEY (run_id, point, type_id)
);

-- The complete set a guard judges (GRD-3); the guarded step carries out nothing else.
CREATE TABLE guard_op (
    run_id    bigint NOT NULL,
    point     text COLLATE "C" NOT NULL,
    type_id   integer NOT NULL,
    object_id bigint NOT NULL,
    op        text COLLATE "C" NOT NULL,
    reason    text NOT NULL DEFAULT '',
    verdict   text COLLATE "C" NOT NULL DEFAULT 'listed' CHECK (verdict IN ('listed', 'held', 'dropped')),
    PRIMARY KEY (run_id, point, object_id)
);

CREATE TABLE hold (
    id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run_id     bigint NOT NULL REFERENCES run,
    ordinal    integer NOT NULL,
    point      text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL DEFAULT 'open',
    findings   jsonb NOT NULL,
    opened_at  timestamptz NOT NULL DEFAULT anabranch_now(),
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    actor      text,
    reason     text
);
CREATE UNIQUE INDEX hold_open ON hold (run_id, ordinal);

-- What an operator did (AUD-12); never changed.
CREATE TABLE action (
    id     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at     timestamptz NOT NULL DEFAULT anabranch_now(),
    actor  text NOT NULL,
    verb   text COLLATE "C" NOT NULL,
    object text NOT NULL,
    reason text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT 'ok'
);

---------------------------------------------------------------- connector spaces

CREATE TABLE cso (
    id             bigint PRIMARY KEY,
    type_id        integer NOT NULL,
    partition      text COLLATE "C" NOT NULL DEFAULT '',
    anchor         text COLLATE "C",
    anchor_hash    bytea,
    secondary      text COLLATE "C",
    secondary_hash bytea,
    state          text COLLATE "C" NOT NULL,
    doc            jsonb NOT NULL,
    -- 16 bytes over the content; 16 more over the bytes it was read from, where the source spells objects as bytes.
    fingerprint    bytea,
    change_seq     bigint NOT NULL DEFAULT nextval('change_seq')
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX cso_anchor ON cso (type_id, anchor_hash);
CREATE INDEX cso_secondary ON cso (type_id, secondary_hash) WHERE secondary_hash IS NOT NULL;

-- Narrow, because it changes where the wide row does not. It repeats state and change_seq of its CSO, written in the
-- same statement: what is due is then known from narrow rows and partial indexes alone, and nothing due costs nothing.
-- Its lock is the lock of the whole CSO, so that locking dirties no wide page.
CREATE TABLE cso_sync (
    cso_id         bigint PRIMARY KEY,
    type_id        integer NOT NULL,
    system_id      integer NOT NULL,
    state          text COLLATE "C" NOT NULL,
    change_seq     bigint NOT NULL,
    mvo_id         bigint,
    join_type      text COLLATE "C" NOT NULL DEFAULT 'none',
    join_rule      text COLLATE "C",
    link_version   integer NOT NULL DEFAULT 0,
    synced_seq     bigint NOT NULL DEFAULT 0,
    rule_stamp     bigint NOT NULL DEFAULT 0,
    config_version integer NOT NULL DEFAULT 0,
    turns_at       timestamptz,
    contributions  jsonb,
    refs_due       boolean NOT NULL DEFAULT false,
    failed         boolean NOT NULL DEFAULT false,
    released       boolean NOT NULL DEFAULT false,
    -- The run whose settling of matches has evaluated it too: that run's flow leaves it out.
    settled_in     bigint NOT NULL DEFAULT 0,
    -- A column, because the planner knows how many rows have it set; of a comparison of two columns it knows nothing.
    changed        boolean GENERATED ALWAYS AS (change_seq > synced_seq OR failed) STORED
) WITH (fillfactor = 80);
-- One CSO per system and MVO (MOD-17), also against two workers at once.
CREATE UNIQUE INDEX cso_sync_slot ON cso_sync (mvo_id, system_id) WHERE mvo_id IS NOT NULL;
CREATE INDEX cso_sync_refs_due ON cso_sync (system_id, cso_id) WHERE refs_due;
-- Due for evaluation (SYN-2) is one of: changed or failed; else stale; else turned with time.
CREATE INDEX cso_sync_changed ON cso_sync (system_id, cso_id)
    WHERE state = 'normal' AND changed;
CREATE INDEX cso_sync_stamp ON cso_sync (type_id, rule_stamp)
    WHERE state = 'normal' AND NOT changed;
CREATE INDEX cso_sync_turns ON cso_sync (system_id, turns_at)
    WHERE state = 'normal' AND NOT changed AND turns_at IS NOT NULL;
CREATE INDEX cso_sync_obsolete ON cso_sync (system_id, cso_id) WHERE state = 'obsolete';

-- A CSO as the engine reads it.
CREATE VIEW cso_picture AS
SELECT c.id, c.type_id, s.system_id, c.partition, c.anchor, c.anchor_hash, c.secondary, c.secondary_hash, c.state, c.doc,
       c.fingerprint, c.change_seq, s.mvo_id, s.join_type, s.join_rule, s.link_version, s.synced_seq, s.rule_stamp,
       s.config_version, s.contributions, s.refs_due, s.failed, s.released
  FROM cso c
  JOIN cso_sync s ON s.cso_id = c.id;

CREATE TABLE cso_ref (
    cso_id        bigint NOT NULL,
    type_id       integer NOT NULL,
    attr          text COLLATE "C" NOT NULL,
    raw           text COLLATE "C" NOT NULL,
    anchor_hash   bytea NOT NULL,
    secondary_hash bytea NOT NULL,
    target_cso_id bigint,
    PRIMARY KEY (cso_id, attr, raw)
);
CREATE INDEX cso_ref_target ON cso_ref (target_cso_id) WHERE target_cso_id IS NOT NULL;
CREATE INDEX cso_ref_unresolved ON cso_ref (type_id, attr, cso_id) WHERE target_cso_id IS NULL;

-- Values of CSO attributes that unique values must not collide with, by hash of the folded key.
CREATE TABLE cso_key (
    type_id  integer NOT NULL,
    attr     text COLLATE "C" NOT NULL,
    key_hash bytea NOT NULL,
    cso_id   bigint NOT NULL,
    key      text COLLATE "C" NOT NULL,
    PRIMARY KEY (cso_id, attr, key_hash)
);
CREATE INDEX cso_key_lookup ON cso_key (type_id, attr, key_hash);

---------------------------------------------------------------- the metaverse

-- What is only ever read as a whole (provenance, the rows of an export) is JSON text: taking it apart would be most of
-- what writing it costs.
CREATE TABLE mvo (
    id             bigint PRIMARY KEY,
    type_id        integer NOT NULL,
    origin_key     text COLLATE "C" NOT NULL,
    origin         text COLLATE "C" NOT NULL DEFAULT 'projected',
    state          text COLLATE "C" NOT NULL DEFAULT 'active',
    delete_after   timestamptz,
    deletion       jsonb,
    doc            jsonb NOT NULL,
    provenance     json NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX mvo_pending_deletion ON mvo (type_id, delete_after) WHERE state = 'pending_deletion';

-- Narrow, because what is owed changes where the wide row does not. Its lock is the lock of the whole MVO.
CREATE TABLE mvo_sync (
    mvo_id         bigint PRIMARY KEY,
    type_id        integer NOT NULL,
    change_seq     bigint NOT NULL DEFAULT nextval('change_seq'),
    evaluated      boolean NOT NULL DEFAULT false,
    outbound_due   boolean NOT NULL DEFAULT false,
    outbound_stamp bigint NOT NULL DEFAULT 0,
    outbound_version integer NOT NULL DEFAULT 0,
    outbound_turns_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX mvo_sync_due ON mvo_sync (type_id, mvo_id) WHERE outbound_due;
CREATE INDEX mvo_sync_stamp ON mvo_sync (type_id, outbound_stamp) WHERE evaluated AND NOT outbound_due;
CREATE INDEX mvo_sync_turns ON mvo_sync (type_id, outbound_turns_at)
    WHERE evaluated AND NOT outbound_due AND outbound_turns_at IS NOT NULL;

-- An MVO as the engine reads it.
CREATE VIEW mvo_picture AS
SELECT m.id, m.type_id, m.origin_key, m.state, m.delete_after, m.deletion, m.doc, m.provenance, s.evaluated,
       s.outbound_due, s.outbound_stamp, s.outbound_version, s.change_seq
  FROM mvo m
  JOIN mvo_sync s ON s.mvo_id = m.id;

CREATE TABLE mvo_ref (
    mvo_id        bigint NOT NULL,
    attr          text COLLATE "C" NOT NULL,
    target_mvo_id bigint NOT NULL,
    contributor   bigint NOT NULL,
    mapping_id    integer NOT NULL,
    raw           text COLLATE "C" NOT NULL,
    PRIMARY KEY (mvo_id, attr, target_mvo_id)
);
CREATE INDEX mvo_ref_target ON mvo_ref (target_mvo_id);

-- Not unique: two MVOs may come to share a key, which matching then reports (SYN-29, SYN-35).
CREATE TABLE match_key (
    type_id  integer NOT NULL,
    attr     text COLLATE "C" NOT NULL,
    key_hash bytea NOT NULL,
    mvo_id   bigint NOT NULL,
    key      text COLLATE "C" NOT NULL,
    PRIMARY KEY (mvo_id, attr, key_hash)
);
CREATE INDEX match_key_lookup ON match_key (type_id, attr, key_hash);

CREATE TABLE reservation (
    name        text COLLATE "C" NOT NULL,
    value_hash  bytea NOT NULL,
    value       text COLLATE "C" NOT NULL,
    mvo_id      bigint,
    released_at timestamptz,
    free_after  timestamptz,
    PRIMARY KEY (name, value_hash)
);
CREATE INDEX reservation_mvo ON reservation (mvo_id) WHERE mvo_id IS NOT NULL;

-- Names that mean the same in every database, for the state hash and for people: a CSO without an anchor goes by its
-- secondary id, one with neither by the object it was provisioned for.
CREATE VIEW mvo_name AS
SELECT m.id, coalesce(t.key, m.type_id::text) || '/' || m.origin_key AS key
  FROM mvo m
  LEFT JOIN object_type t ON t.id = m.type_id;
CREATE VIEW cso_name AS
SELECT c.id,
       coalesce(y.key, s.system_id::text) || '/' || coalesce(t.key, c.type_id::text) || '/'
           || coalesce('anchor=' || c.anchor, 'secondary=' || c.secondary, 'for=' || m.origin_key, '') AS key
  FROM cso c
  JOIN cso_sync s ON s.cso_id = c.id
  LEFT JOIN system y ON y.id = s.system_id
  LEFT JOIN object_type t ON t.id = c.type_id
  LEFT JOIN mvo m ON m.id = s.mvo_id AND c.anchor IS NULL AND c.secondary IS NULL;

---------------------------------------------------------------- pending exports

CREATE TABLE pending_export (
    id             bigint PRIMARY KEY,
    cso_id         bigint NOT NULL UNIQUE,
    type_id        integer NOT NULL,
    system_id      integer NOT NULL,
    mvo_id         bigint,
    kind           text COLLATE "C" NOT NULL,
    state          text COLLATE "C" NOT NULL,
    -- JSON as text, because nothing is looked up in it and binary JSON of many short lists is dear to make and to read.
    -- Where they are single values to be set and nothing else has happened to them, an object of attributes and values.
    rows           json NOT NULL DEFAULT '[]',
    -- Every row has been sent and no import has judged any since: stands above the states of the rows.
    all_sent       boolean NOT NULL DEFAULT false,
    rule           text COLLATE "C" NOT NULL DEFAULT '',
    staged_run     bigint NOT NULL,
    config_version integer NOT NULL,
    staged_now     timestamptz NOT NULL,
    seen_seq       bigint NOT NULL,
    sent_seq       bigint,
    waiting        boolean NOT NULL DEFAULT false,
    attempts       integer NOT NULL DEFAULT 0,
    not_before     timestamptz,
    failure        text,
    version        integer NOT NULL DEFAULT 0
) WITH (fillfactor = 80);
CREATE INDEX pending_export_system ON pending_export (system_id, state, id);
CREATE INDEX pending_export_waiting ON pending_export (system_id) WHERE waiting;

-- Rows of reference attributes: they name the MVO referred to, a removal also the identifier the target knows.
CREATE TABLE pe_value (
    export_id     bigint NOT NULL,
    attr          text COLLATE "C" NOT NULL,
    op            text COLLATE "C" NOT NULL,
    target_mvo_id bigint NOT NULL,
    raw           text COLLATE "C" NOT NULL DEFAULT '',
    state         text COLLATE "C" NOT NULL,
    refuted       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (export_id, attr, target_mvo_id, raw)
);
CREATE INDEX pe_value_target ON pe_value (target_mvo_id);

---------------------------------------------------------------- what a run keeps while it works; goes with the run

-- Up to a thousand staged rows, packed, with what is asked about all rows of a run beside them in columns of fixed width:
-- ids (8 bytes each), anchor hashes (16), and secondary ids (17: 1 and a hash, 2 for the stored one, 0 for none).
CREATE TABLE import_pack (
    run_id      bigint NOT NULL,
    lo_id       bigint NOT NULL,
    hi_id       bigint NOT NULL,
    type_id     integer NOT NULL,
    partition   text COLLATE "C" NOT NULL,
    gone        boolean NOT NULL,
    ids         bytea NOT NULL,
    hashes      bytea NOT NULL,
    secondaries bytea,
    rows        bytea NOT NULL,
    PRIMARY KEY (run_id, lo_id)
);
ALTER TABLE import_pack ALTER COLUMN ids SET STORAGE EXTERNAL, ALTER COLUMN hashes SET STORAGE EXTERNAL,
                        ALTER COLUMN secondaries SET STORAGE EXTERNAL, ALTER COLUMN rows SET STORAGE EXTERNAL;

-- Which objects a batch proposes to settle, and over what they might compete: 8-byte ids, and 16-byte pairs of the hash
-- of a contest and an id. Packed, because few are ever looked at one by one. Of kind `written` it is what a file was
-- written from and what it could not take, for the batches that record it.
CREATE TABLE proposal_pack (
    run_id   bigint NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    batch_id bigint NOT NULL,
    objects  bytea NOT NULL,
    contests bytea NOT NULL,
    PRIMARY KEY (run_id, kind, batch_id)
);
ALTER TABLE proposal_pack ALTER COLUMN objects SET STORAGE EXTERNAL, ALTER COLUMN contests SET STORAGE EXTERNAL;

-- Sorted 16-byte anchor hashes of everything a page held, whether changed or not.
CREATE TABLE import_seen (
    run_id    bigint NOT NULL,
    partition text COLLATE "C" NOT NULL,
    page      integer NOT NULL,
    type_id   integer NOT NULL,
    hashes    bytea NOT NULL,
    PRIMARY KEY (run_id, partition, page, type_id)
);
ALTER TABLE import_seen ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE import_verdict (
    run_id      bigint NOT NULL,
    type_id     integer NOT NULL,
    anchor_hash bytea NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    message     text NOT NULL,
    PRIMARY KEY (run_id, type_id, anchor_hash)
);

-- What a settle decides over: n is the place in canonical order, set when the complete set is known.
CREATE TABLE proposal (
    run_id    bigint NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    object_id bigint NOT NULL,
    order_key text COLLATE "C" NOT NULL,
    n         bigint,
    body      jsonb NOT NULL,
    PRIMARY KEY (run_id, kind, object_id)
);
CREATE INDEX proposal_order ON proposal (run_id, kind, n) WHERE n IS NOT NULL;

---------------------------------------------------------------- items

CREATE TABLE run_item_pack (
    run_id   bigint NOT NULL,
    ordinal  integer NOT NULL,
    batch_id bigint NOT NULL,
    page     integer NOT NULL DEFAULT 0,
    space    text COLLATE "C" NOT NULL,
    lo_id    bigint NOT NULL,
    hi_id    bigint NOT NULL,
    counts   jsonb NOT NULL,
    packed   bytea NOT NULL,
    PRIMARY KEY (batch_id, page, space)
);
CREATE INDEX run_item_pack_range ON run_item_pack (space, lo_id, hi_id);
CREATE INDEX run_item_pack_run ON run_item_pack (run_id);

CREATE TABLE run_error (
    id        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    run_id    bigint NOT NULL,
    ordinal   integer NOT NULL,
    batch_id  bigint NOT NULL,
    space     text COLLATE "C" NOT NULL,
    type_id   integer,
    object_id bigint,
    key       text NOT NULL,
    severity  text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    rule      text,
    message   text NOT NULL,
    count     integer NOT NULL DEFAULT 1
);
CREATE INDEX run_error_run ON run_error (run_id);
CREATE INDEX run_error_object ON run_error (object_id) WHERE object_id IS NOT NULL;

---------------------------------------------------------------- statistics

-- Nothing is looked up by the contents of documents; sampling them would make each look at a table dear.
ALTER TABLE cso ALTER COLUMN doc SET STATISTICS 0, ALTER COLUMN fingerprint SET STATISTICS 0;
ALTER TABLE cso_sync ALTER COLUMN contributions SET STATISTICS 0;
ALTER TABLE mvo ALTER COLUMN doc SET STATISTICS 0, ALTER COLUMN provenance SET STATISTICS 0;
ALTER TABLE pending_export ALTER COLUMN rows SET STATISTICS 0;
ALTER TABLE import_pack ALTER COLUMN rows SET STATISTICS 0;
ALTER TABLE import_seen ALTER COLUMN hashes SET STATISTICS 0;
ALTER TABLE proposal ALTER COLUMN body SET STATISTICS 0;
ALTER TABLE proposal_pack ALTER COLUMN objects SET STATISTICS 0, ALTER COLUMN contests SET STATISTICS 0;
ALTER TABLE run_item_pack ALTER COLUMN packed SET STATISTICS 0, ALTER COLUMN counts SET STATISTICS 0;
