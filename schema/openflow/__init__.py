"""OpenFlow code points: actions, messages, errors, limits."""
