-- In the order of the file they go into.
SELECT id, type_id, config_version, objects, lo_anchor, hi_anchor
  FROM provision_pack
 WHERE system_id = $1 AND counted_in = $2
 ORDER BY lo_anchor, id
