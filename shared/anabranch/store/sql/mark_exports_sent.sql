-- Everything in them has been sent. What the rows say of themselves stays: the mark stands above it.
UPDATE pending_export
   SET state = 'exported', all_sent = true, sent_seq = $2, waiting = false, attempts = 0, not_before = NULL,
       failure = NULL, version = version + 1
 WHERE id = ANY($1::bigint[])
