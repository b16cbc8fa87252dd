"""Connected systems: the port they are reached through, and one module or few for each kind.

What may live here: the port, the registry that finds connectors by name, the connectors themselves with the formats
they read and write, and the contract suite that every connector passes. A connector moves raw values; what they mean,
what changed and what shall be written is decided elsewhere.

What may not: decisions about identities, SQL, Redis, knowledge of runs and batches beyond the names a file carries.

Who may import it: runtime, the services and the console. Other distributions may build on `port` and `testing`.
"""
