"""The form of a database's schema, checked by jsonschema against schema/meta.schema.json.

The engine has refused by then what it cannot use, with the reference's texts; this check is about
the declared form, so a difference is told in the log and the database is served.  It runs in a
worker thread after start-up, because the library takes longer to load than a server to start.
Schemas that this suite ships were checked by its tests and are passed over.
"""

import json
from functools import lru_cache
from pathlib import Path

from ovsdb_server.engine.schema import DatabaseSchema

_DIRECTORY = Path(__file__).resolve().parents[2] / "schema"


@lru_cache(maxsize=1)
def _shipped() -> frozenset[tuple[str, str, str]]:
    """Return (name, version, checksum) of each schema of this suite."""
    schemas = (json.loads(path.read_text()) for path in _DIRECTORY.glob("*.ovsschema"))
    return frozenset((s["name"], s.get("version", ""), s.get("cksum", "")) for s in schemas)


def is_shipped(schema: DatabaseSchema) -> bool:
    """Is `schema` one of this suite's own?"""
    return bool(schema.cksum) and (schema.name, schema.version, schema.cksum) in _shipped()


def find_fault(schema: DatabaseSchema) -> str | None:
    """Return what is wrong with the form of `schema`, or None.  Takes a while; any thread."""
    import jsonschema       # Takes 0.1 s: only when there is something to check.
    meta = json.loads((_DIRECTORY / "meta.schema.json").read_text())
    error = next(jsonschema.Draft202012Validator(meta).iter_errors(schema.to_json()), None)
    if error is None:
        return None
    where = "/".join(str(step) for step in error.absolute_path)
    return f"{where}: {error.message}" if where else error.message
