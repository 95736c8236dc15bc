"""Where the suite's schema files are.  Imports next to nothing."""

import os


def schema_path(name: str) -> str:
    """Return the path of schema/NAME.ovsschema."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(root, "schema", f"{name}.ovsschema")
