"""OpenFlow: codec and text (pure), connections and agent (trio), compile."""
