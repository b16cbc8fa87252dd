-- A row carries the transaction that wrote it: one as young as $1 was inserted or updated since.
SELECT count(*) AS rows, count(*) FILTER (WHERE age(xmin) <= age($1::xid)) AS young FROM @table
