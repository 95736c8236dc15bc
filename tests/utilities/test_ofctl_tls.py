"""ovs-ofctl over TLS: what its options ask for is what the switch sees."""

import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.ovsdb_server.authority import Authority

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("options, version, cipher", [
    ((), "TLSv1.3", None), (("--ssl-protocols=TLSv1.2",), "TLSv1.2", None),
    (("-C", "none"), "TLSv1.3", None),
    (("--ssl-ciphersuites=TLS_AES_128_GCM_SHA256",), "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    (("--ssl-protocols=TLSv1.2", "--ssl-ciphers=ECDHE-ECDSA-AES128-GCM-SHA256"), "TLSv1.2",
     "ECDHE-ECDSA-AES128-GCM-SHA256")])
def test_options_limit_what_is_spoken(tmp_path, options, version, cipher):
    key, certificate, authority = Authority(tmp_path, "ca").issue("host")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    seen = []

    def accept(listener):
        with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
            seen.extend((sock.version(), sock.cipher()[0], sock.recv(8)[1:2]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        subprocess.run(
            [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
             "from utilities.ofctl import main; sys.exit(main(sys.argv[1:]))",
             "-p", key, "-c", certificate, "-C", authority, *options, "show",
             f"ssl:127.0.0.1:{listener.getsockname()[1]}"], capture_output=True, timeout=20)
        thread.join(10)
    assert seen[0] == version and cipher in (None, seen[1])
    assert seen[2] == b"\0"         # A hello.
