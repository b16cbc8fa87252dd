INSERT INTO action (actor, verb, object, reason, result) VALUES ($1, $2, $3, $4, $5)
