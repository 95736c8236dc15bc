"""TLS contexts of a server from its --private-key, --certificate and --ca-cert.

Source: ovsdb-server(1), "Public Key Infrastructure Options".  Each file name may instead be
db:DB,TABLE,COLUMN; resolving that is the caller's.
"""

import errno
import os
import ssl
from typing import NamedTuple

from ovsdb_server.rpc.tls import limit_versions


class TlsFiles(NamedTuple):
    """File names and lists as configured; None where not configured."""

    private_key: str | None = None
    certificate: str | None = None
    ca_certificate: str | None = None
    protocols: str | None = None
    ciphers: str | None = None


class TlsNotConfigured(OSError):
    """A file that TLS needs has not been named; str() says which."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        self._what = what

    def __str__(self) -> str:
        return f"{self._what} must be configured to use SSL"


def make_context(files: TlsFiles, is_server: bool) -> ssl.SSLContext:
    """Return a context for connections in one direction.  Raises: TlsNotConfigured, OSError."""
    for file, what in ((files.private_key, "Private key"), (files.certificate, "Certificate"),
                       (files.ca_certificate, "CA certificate")):
        if not file:
            raise TlsNotConfigured(what)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(files.certificate, files.private_key)
    if files.ca_certificate != "none":
        context.load_verify_locations(files.ca_certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    else:
        context.verify_mode = ssl.CERT_NONE
    if files.protocols:
        limit_versions(context, files.protocols)
    if files.ciphers:
        context.set_ciphers(files.ciphers)
    return context
