"""Plain frozen records and the names every other room shares.

What may live here: records, enumerations, identifiers and the two errors that decide retries. Values only: nothing
here computes a decision, reads a clock, or talks to anything.

What may not: imports of any other room, I/O of any kind, and behaviour that needs more than the record's own fields.

Who may import it: everyone.
"""
