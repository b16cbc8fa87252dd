UPDATE fleet_term
SET term = CASE WHEN holder = $1 AND lease_until >= anabranch_now() THEN term ELSE term + 1 END,
    holder = $1, lease_until = anabranch_now() + make_interval(secs => $2)
WHERE holder = $1 OR holder IS NULL OR lease_until IS NULL OR lease_is_over(lease_until, make_interval(secs => $2))
RETURNING term
