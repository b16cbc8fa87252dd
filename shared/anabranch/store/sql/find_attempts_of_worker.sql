-- Attempts of one process that ended after $2, whoever ended them.
SELECT batch_id, epoch FROM batch_attempt WHERE worker = $1 AND ended_at > $2 ORDER BY batch_id, epoch
