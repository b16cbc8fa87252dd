-- Of at most $3 objects, 32 bytes for each that has them: the digest of the bytes it was read from (the second half of
-- its fingerprint), and the hash of its anchor; how many objects that were, and the last change of any of them. In no
-- order, so that the table is gone through once and never sorted.
SELECT string_agg(substr(fingerprint, 17) || anchor_hash, ''::bytea) FILTER (WHERE length(fingerprint) = 32) AS packed,
       count(*) AS objects,
       max(change_seq) AS latest
  FROM (SELECT fingerprint, anchor_hash, change_seq
          FROM cso
         WHERE type_id = $1
           AND partition = $2
           AND state = 'normal'
           AND anchor_hash IS NOT NULL
         LIMIT $3) AS known
