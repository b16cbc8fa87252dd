-- From here on the row's lock is the lease. No row: the batch belongs to somebody else, or has ended.
SELECT counters, failures, losses FROM batch WHERE id = $1 AND claim = $2 AND state = 'leased' FOR NO KEY UPDATE
