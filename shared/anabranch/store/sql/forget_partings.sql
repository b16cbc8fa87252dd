-- Systems that are not declared any more will give nothing back: nobody waits for them.
UPDATE mvo_sync
   SET parted_in = NULL
 WHERE parted_in IN (SELECT r.id FROM run r JOIN system y ON y.id = r.system_id WHERE NOT y.key = ANY($1::text[]))
