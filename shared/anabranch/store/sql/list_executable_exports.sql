-- With the operation counted, for the guard and for the steps that follow (EXP-15).
INSERT INTO guard_op (run_id, point, type_id, object_id, op)
SELECT $2, 'export_writes', e.type_id, e.id, e.kind
  FROM (@executable) AS e
