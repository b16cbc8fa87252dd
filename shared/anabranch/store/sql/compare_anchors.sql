-- Whether the anchors of a set's CSOs, type by type, are printable ASCII and differ in more than case; `objects` is a
-- statement that selects their ids as `id`. Of nothing that holds.
SELECT coalesce(bool_and(objects = folded AND is_plain), true)
  FROM (SELECT count(*) AS objects,
               count(DISTINCT lower(c.anchor)) AS folded,
               bool_and(c.anchor ~ '^[ -~]+$') AS is_plain
          FROM (@objects) AS object
          JOIN cso c ON c.id = object.id
         GROUP BY c.type_id) AS compared
