-- By the place of the row, which is a look-up whatever the planner believes of the table's size; nobody moves a row of a
-- CSO that is locked. Referring CSOs that were not due take a new number; those that are joined become due for
-- references.
WITH resolved AS (
    UPDATE cso_ref r
       SET target_cso_id = v.target_cso_id
      FROM (@resolvable) AS v
     WHERE r.ctid = v.place
 RETURNING r.cso_id
), referring AS (
    SELECT s.cso_id, s.change_seq <= s.synced_seq AS quiet, s.mvo_id IS NOT NULL AND NOT s.refs_due AS rests
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
     WHERE s.cso_id = f.cso_id AND f.rests AND NOT f.quiet
)
SELECT count(*) FROM resolved
