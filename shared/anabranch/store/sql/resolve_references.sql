-- By primary key alone: the index of unresolved references is believed to be empty and would be read for each of them.
-- Referring CSOs that were not due take a new number; those that are joined become due for references. They were locked.
WITH resolvable AS (
    @resolvable
), resolved AS (
    UPDATE cso_ref r
       SET target_cso_id = v.target_cso_id
      FROM resolvable v
     WHERE r.cso_id = v.cso_id AND r.attr = v.attr AND r.raw = v.raw
 RETURNING r.cso_id
), referring AS (
    SELECT s.cso_id, s.change_seq <= s.synced_seq AS quiet
      FROM cso_sync s
     WHERE s.cso_id IN (SELECT cso_id FROM resolved)
), touched AS (
    UPDATE cso c
       SET change_seq = nextval('change_seq')
      FROM referring f
     WHERE c.id = f.cso_id AND f.quiet
 RETURNING c.id, c.change_seq
), touched_marked AS (
    UPDATE cso_sync s
       SET change_seq = t.change_seq, link_version = s.link_version + 1, refs_due = s.refs_due OR s.mvo_id IS NOT NULL
      FROM touched t
     WHERE s.cso_id = t.id
), due_marked AS (
    UPDATE cso_sync s
       SET refs_due = true, link_version = s.link_version + 1
      FROM referring f
     WHERE s.cso_id = f.cso_id AND NOT f.quiet AND s.mvo_id IS NOT NULL AND NOT s.refs_due
)
SELECT count(*) FROM resolved
