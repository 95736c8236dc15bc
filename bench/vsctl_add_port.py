"""1,000 ports added one by one with `ovs-vsctl --no-wait add-port`: seconds, by client and server.

    python bench/vsctl_add_port.py [PORTS [STRIDE]]

Each of our and the installed ovs-vsctl adds ports to each of our and the installed server, all
four combinations in turn, STRIDE ports at a time, so that a busy machine slows all of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import PEERS, Server
from vsctl_start import make_launchers

SCHEMA = Path(__file__).resolve().parents[1] / "schema" / "vswitch.ovsschema"


def main() -> None:
    """Measure all combinations and print a table."""
    import json
    numbers = [int(word) for word in sys.argv[1:]]
    n_ports, stride = numbers + [1000, 50][len(numbers):]
    with tempfile.TemporaryDirectory() as name:
        clients = {"ours": make_launchers(Path(name))["ovs-vsctl"]}
        if shutil.which("ovs-vsctl"):
            clients["theirs"] = shutil.which("ovs-vsctl")
        schema = json.loads(SCHEMA.read_text())
        servers = {(client, peer): Server(command, schema=schema)
                   for client in clients for peer, command in PEERS.items()}
        seconds = dict.fromkeys(servers, 0.0)
        try:
            for (client, _), server in servers.items():
                server.client().close()
                _run(clients[client], server, "add-br", "br0")
            for start in range(0, n_ports, stride):
                for key, server in servers.items():
                    began = time.perf_counter()
                    for number in range(start, start + stride):
                        _run(clients[key[0]], server, "add-port", "br0", f"p{number}")
                    seconds[key] += time.perf_counter() - began
        finally:
            for server in servers.values():
                server.close()
    print(f"{n_ports} ports, seconds")
    reference = seconds.get(("theirs", "theirs"))
    for (client, server), elapsed in seconds.items():
        ratio = f"{reference / elapsed:6.2f}" if reference else "-"
        print(f"client {client:7} server {server:7} {elapsed:8.2f} {ratio}")


def _run(program: str, server: Server, *words: str) -> None:
    environment = {**server.environment, "PATH": os.environ["PATH"]}
    subprocess.run([program, "--no-wait", f"--db=unix:{server.path}", *words], check=True,
                   env=environment)


if __name__ == "__main__":
    main()
