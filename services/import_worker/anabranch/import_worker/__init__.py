"""The import worker: from a source system into its connector space, and then `sync-batches` have something to do.

What may live here: reading pages, settling differences, absence, references and confirmation, each as a handler of the
import steps (load, decide, persist).

What may not: decisions about joins or metaverse values, SQL, stream commands, and anything another service needs too.

Who may import it: nobody but the console's local fleet.
"""
