-- The export that `g` lists, looked up by its id alone: what stands behind OFFSET 0 is planned apart.
SELECT * FROM pending_export WHERE id = g.object_id OFFSET 0
