-- The first transaction whose rows count as new: none before it is still under way.
SELECT pg_snapshot_xmin(pg_current_snapshot())::xid
