"""The declared configuration and the settings of a service: from what a person wrote to frozen records.

What may live here: reading files and environment variables into the records of `model`, telling every fault with its
place and all of them at once, checking names against each other, and comparing, stamping, storing and writing out a
configuration that was found good.

What may not: talking to PostgreSQL or Redis, opening a connector, deciding anything about an identity. A connector's
name and the check of its options come in as arguments, because this room lies below the connectors.

Who may import it: telemetry, bus, store, connectors, runtime, the services and the console.
"""
