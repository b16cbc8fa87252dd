-- Under the row's lock: a plain read would see the state before a commit that is still in flight.
SELECT state = 'done' AND claim = $2 AS done FROM batch WHERE id = $1 FOR NO KEY UPDATE
