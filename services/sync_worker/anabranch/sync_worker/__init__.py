"""The sync worker: connector spaces join into one metaverse, and what must flow out becomes pending exports.

What may live here: one module a phase, each a handler of load, decide, persist; the decisions themselves are the
engine's.

What may not: calls to connected systems, SQL, stream commands, and anything another service needs too.

Who may import it: nobody but the console's local fleet.
"""
