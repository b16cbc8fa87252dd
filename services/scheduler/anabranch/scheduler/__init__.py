"""The scheduler: it starts what is due, publishes what waits, and sees that everything ends.

What may live here: the leader's lease, the relay's loop, the sweep's loop.

What may not: work on batches, decisions about identities, SQL, stream commands. A fleet without a scheduler finishes
what is in hand; a fleet with several is no different from one with one.

Who may import it: nobody but the console's local fleet.
"""
