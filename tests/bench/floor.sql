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

--- packs of what is to be created
INSERT INTO floor.provision_pack (id, system_id, type_id, mvo_type_id, rule, staged_run, config_version, staged_now,
                                  objects, lo_anchor, hi_anchor, lo_mvo, hi_mvo, body)
OVERRIDING SYSTEM VALUE
SELECT row_number() OVER (), system_id, type_id, 1, 'rule', 1, 1, now(), count(*), min(anchor), max(anchor), min(mvo_id),
       max(mvo_id), json_agg(json_build_array(id, id, mvo_id, 1, anchor, doc))
  FROM (SELECT c.*, s.system_id, s.mvo_id, (row_number() OVER (ORDER BY c.id) - 1) / 64 AS pack
          FROM cso c JOIN cso_sync s ON s.cso_id = c.id WHERE c.fingerprint IS NULL) AS a
 GROUP BY pack, system_id, type_id;

--- objects of the target, created
INSERT INTO floor.cso (id, type_id, partition, anchor, anchor_hash, state, doc, change_seq)
SELECT id, type_id, partition, anchor, anchor_hash, state, doc, change_seq FROM cso WHERE fingerprint IS NULL ORDER BY id;
INSERT INTO floor.cso_sync (cso_id, type_id, system_id, state, change_seq, mvo_id, join_type, join_rule, refs_due,
                            synced_seq)
SELECT cso_id, type_id, system_id, state, change_seq, mvo_id, join_type, join_rule, refs_due, synced_seq
  FROM cso_sync WHERE join_type = 'provisioned' ORDER BY cso_id;
DELETE FROM floor.provision_pack;
