-- The batch row is locked and was found due; its state and epoch then were $2 and $3. A lease that was last renewed
-- before the server started ran out because PostgreSQL was away: its holder lost nothing by itself, so no loss counts.
WITH lost AS (
    UPDATE batch_attempt SET outcome = 'lost', ended_at = anabranch_now()
    WHERE batch_id = $1 AND epoch = $3 AND $2 = 'leased' AND outcome IS NULL
), attempt AS (
    INSERT INTO batch_attempt (batch_id, epoch, claim, worker, span_id) VALUES ($1, $3 + 1, $4, $5, $6)
)
UPDATE batch
SET state = 'leased', claim = $4, epoch = $3 + 1, owner = $5, lease = make_interval(secs => $7),
    lease_until = anabranch_now() + make_interval(secs => $7),
    losses = losses + ($2 = 'leased' AND lease_until - lease > pg_postmaster_start_time())::integer,
    not_before = NULL, published_at = NULL, started_at = coalesce(started_at, anabranch_now())
WHERE id = $1
