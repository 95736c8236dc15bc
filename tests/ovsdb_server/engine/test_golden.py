"""A sample of `transactions.CASES` beside answers recorded from the real server.

For machines without the reference.  `python -m tests.ovsdb_server.engine.test_golden` records
`golden.jsonl` anew where it is installed.
"""

import json
import sys
import tempfile
from pathlib import Path

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.schema import DatabaseSchema
from tests.ovsdb_server.engine import transactions
from tests.ovsdb_server.reference import Server, normalize

GOLDEN = Path(__file__).with_name("golden.jsonl")
N_BUILDING = 250        # The first cases build on each other; of the rest every 25th will do.
SAMPLE = [case for number, case in enumerate(transactions.CASES)
          if number < N_BUILDING or number % 25 == 0]


def test_the_recorded_answers_are_ours_too():
    schema = DatabaseSchema.from_json(json.loads(transactions.ZOO.read_text()))
    triggers = Triggers(Database(schema), lambda _delta, _comment: None)
    recorded = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    ours = [normalize(triggers.submit(case, Context(), 0.0, object()).results)
            for case in SAMPLE]
    assert len(ours) == len(recorded)
    assert [pair for pair in zip(recorded, ours) if pair[0] != pair[1]] == []


def _record() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), transactions.ZOO)
        try:
            answers = [server.call("transact", ["Zoo", *case])[1] for case in SAMPLE]
        finally:
            server.close()
    GOLDEN.write_text("".join(json.dumps(normalize(answer)) + "\n" for answer in answers))
    print(f"{len(answers)} answers", file=sys.stderr)


if __name__ == "__main__":
    _record()
