"""What the fleet tells about itself: spans, metrics, logs and health, and the one list of their names.

What may live here: the instruments, the trace context as text, the hand-over to an OpenTelemetry collector, the
health server and the log format. Telling never stops work: nothing in this room blocks or raises into its caller.

What may not: values of objects, secrets, SQL, Redis, decisions. OpenTelemetry is imported only when an endpoint is
set.

Who may import it: bus, store, connectors, runtime, the services and the console.
"""
