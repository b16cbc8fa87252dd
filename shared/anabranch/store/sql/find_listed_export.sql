-- The one export that is listed, looked up by its id alone: what stands behind OFFSET 0 is planned apart.
SELECT * FROM pending_export WHERE id = @id OFFSET 0
