-- The rows that an initial cycle has left, written once more into the schema `floor`, in the order of a cycle. A line that
-- begins with `--- ` names what follows. Statements run one by one, after an initial cycle and before any other.

--- objects of the source
INSERT INTO floor.cso (id, type_id, partition, anchor, anchor_hash, secondary, secondary_hash, state, doc, fingerprint,
                       change_seq)
SELECT id, type_id, partition, anchor, anchor_hash, secondary, secondary_hash, state, doc, fingerprint, change_seq
  FROM cso WHERE fingerprint IS NOT NULL ORDER BY id;
INSERT INTO floor.cso_sync (cso_id, type_id, system_id, state, change_seq, refs_due)
SELECT cso_id, type_id, system_id, state, change_seq, refs_due
  FROM cso_sync WHERE join_type = 'projected' ORDER BY cso_id;

--- metaverse objects and keys
INSERT INTO floor.mvo SELECT * FROM mvo ORDER BY id;
INSERT INTO floor.mvo_sync SELECT * FROM mvo_sync ORDER BY mvo_id;
INSERT INTO floor.match_key SELECT * FROM match_key ORDER BY mvo_id;

--- links
UPDATE floor.cso_sync f
   SET mvo_id = s.mvo_id, join_type = s.join_type, join_rule = s.join_rule, synced_seq = s.synced_seq,
       rule_stamp = s.rule_stamp, config_version = s.config_version, settled_in = s.settled_in,
       link_version = s.link_version
  FROM cso_sync s WHERE s.cso_id = f.cso_id;

--- objects of the target
INSERT INTO floor.cso (id, type_id, partition, anchor, state, doc, change_seq)
SELECT id, type_id, partition, anchor, 'pending_provisioning', '{}', change_seq
  FROM cso WHERE fingerprint IS NULL ORDER BY id;
INSERT INTO floor.cso_sync (cso_id, type_id, system_id, state, change_seq, mvo_id, join_type, join_rule, refs_due)
SELECT cso_id, type_id, system_id, 'pending_provisioning', change_seq, mvo_id, join_type, join_rule, refs_due
  FROM cso_sync WHERE join_type = 'provisioned' ORDER BY cso_id;

--- pending exports
INSERT INTO floor.pending_export (id, cso_id, type_id, system_id, mvo_id, kind, state, rows, rule, staged_run,
                                  config_version, staged_now, seen_seq, version)
SELECT c.id, c.id, c.type_id, s.system_id, s.mvo_id, 'create', 'ready', c.doc::text::json, s.join_rule, 1, 1, now(), 1, 1
  FROM cso c JOIN cso_sync s ON s.cso_id = c.id WHERE c.fingerprint IS NULL ORDER BY c.id;

--- their results
UPDATE floor.cso f
   SET anchor_hash = c.anchor_hash, state = c.state, doc = c.doc, change_seq = c.change_seq + 1
  FROM cso c WHERE c.id = f.id AND c.fingerprint IS NULL;
UPDATE floor.cso_sync f
   SET state = s.state, change_seq = s.change_seq + 1, synced_seq = s.change_seq + 1
  FROM cso_sync s WHERE s.cso_id = f.cso_id AND s.join_type = 'provisioned';
DELETE FROM floor.pending_export;
