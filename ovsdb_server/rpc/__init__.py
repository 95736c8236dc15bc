"""JSON-RPC: sans-IO messages and framing, a blocking edge and a trio edge, unixctl."""
