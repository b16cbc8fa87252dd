-- Keyset ranges of at most `size` objects over a set; `objects` is a statement that selects their ids as `id`, each once.
SELECT min(id) AS lo, max(id) AS hi, count(*) AS total
  FROM (SELECT object.id, (row_number() OVER (ORDER BY object.id) - 1) / @size::bigint AS part
          FROM (@objects) AS object) AS numbered
 GROUP BY part
 ORDER BY lo
