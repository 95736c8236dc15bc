"""OpenFlow: codec and text (pure), connections and agent (machines), channels (trio), compile."""
