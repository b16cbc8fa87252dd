-- Documents are JSON text, written with their attributes in order: taking each apart on its way in and putting it together
-- on its way out cost more than storing it. `doc ->> 'mail'` reads as before; what only `jsonb` can do takes a cast.
DROP VIEW cso_picture, mvo_picture;
ALTER TABLE cso ALTER COLUMN doc TYPE json USING doc::json;
ALTER TABLE mvo ALTER COLUMN doc TYPE json USING doc::json;
ALTER TABLE cso ALTER COLUMN doc SET STATISTICS 0;
ALTER TABLE mvo ALTER COLUMN doc SET STATISTICS 0;

CREATE VIEW cso_picture AS
SELECT c.id, c.type_id, s.system_id, c.partition, c.anchor, c.anchor_hash, c.secondary, c.secondary_hash, c.state, c.doc,
       c.fingerprint, c.change_seq, s.mvo_id, s.join_type, s.join_rule, s.link_version, s.synced_seq, s.rule_stamp,
       s.config_version, s.contributions, s.refs_due, s.failed, s.released
  FROM cso c
  JOIN cso_sync s ON s.cso_id = c.id;

CREATE VIEW mvo_picture AS
SELECT m.id, m.type_id, m.origin_key, m.state, m.delete_after, m.deletion, m.doc, m.provenance, s.evaluated,
       s.outbound_due, s.outbound_stamp, s.outbound_version, s.change_seq
  FROM mvo m
  JOIN mvo_sync s ON s.mvo_id = m.id;

-- Items come compressed; PostgreSQL need not try again.
ALTER TABLE run_item_pack ALTER COLUMN packed SET STORAGE EXTERNAL;
