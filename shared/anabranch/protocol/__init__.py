"""How the fleet works together, as pure functions and tables.

What may live here: the numbered steps of each run kind, the transition tables of run, step, batch and pending export,
and what claim, commit, seal, close and sweep do to those records. Records in, records out.

What may not: clocks, randomness, SQL, Redis, anything asynchronous. Time and random ids are arguments.

Who may import it: the engine and every room above. The memory keepers of store and bus execute it, and the SQL of the
PostgreSQL keeper is tested against it.
"""
