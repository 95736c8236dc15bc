"""TLS contexts of a server from its --private-key, --certificate, --ca-cert and their kin.

`TlsContexts` keeps the contexts and makes them anew when a file has changed on the disk; while
the new files cannot be used, the old ones stay in use, as in a running server a half-written file
must not end the service.

Source: ovsdb-server(1), "Public Key Infrastructure Options".  Each file name may instead be
db:DB,TABLE,COLUMN; resolving that is the caller's.  Trio thread only.
"""

import errno
import functools
import os
import ssl
from typing import NamedTuple

from ovsdb_server import vlog
from ovsdb_server.rpc.tls import (Context, apply_limits, complain_of_own, describe_authority,
                                  describe_error, save_authority)

_log = vlog.module("stream_ssl")


class TlsFiles(NamedTuple):
    """File names and lists as configured; None where not configured.

    `bootstraps`: while `ca_certificate` does not exist, it is learned from the first server that
    we call.  `peer_certificates` are sent along with ours.
    """

    private_key: str | None = None
    certificate: str | None = None
    ca_certificate: str | None = None
    protocols: str | None = None
    ciphers: str | None = None
    ciphersuites: str | None = None
    peer_certificates: str | None = None
    server_name: str | None = None
    bootstraps: bool = False


class TlsNotConfigured(OSError):
    """Files that TLS needs have not been named; `complaints` are what module stream_ssl logs."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        self.complaints = [f"{what} must be configured to use SSL" for what in missing]


def make_context(files: TlsFiles, is_server: bool) -> ssl.SSLContext:
    """Return a context for connections in one direction.

    Raises: TlsNotConfigured; OSError (ssl.SSLError is one), after a line in the log, when a file
    or a list cannot be used.
    """
    missing = [what for file, what in (
        (files.private_key, "Private key"), (files.certificate, "Certificate"),
        (files.ca_certificate, "CA certificate")) if not file]
    if missing:
        raise TlsNotConfigured(missing)
    context = Context(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.server_name = files.server_name
    _check_readable(files.certificate, "SSL_use_certificate_file")
    _check_readable(files.private_key, "SSL_use_PrivateKey_file")
    try:
        _load_own(context, files)
    except ssl.SSLError as error:
        _log.err(complain_of_own(error))
        raise
    context.verify_mode = ssl.CERT_REQUIRED
    if files.ca_certificate == "none":
        context.verify_mode = ssl.CERT_NONE
    elif is_bootstrapping(files):
        # Until then nobody is trusted who calls us.
        if not is_server:
            context.verify_mode = ssl.CERT_NONE
            context.learn = functools.partial(learn_authority, files)
    else:
        action = f"failed to load client certificates from {files.ca_certificate}"
        _check_readable(files.ca_certificate, action)
        try:
            context.load_verify_locations(files.ca_certificate)
        except ssl.SSLError as error:
            _log.err(f"{action}: {describe_error(error)}")
            raise
    _limit(context, files)
    return context


def is_bootstrapping(files: TlsFiles) -> bool:
    """Is the authority's certificate still to be learned?"""
    return (files.bootstraps and bool(files.ca_certificate)
            and not os.path.exists(files.ca_certificate))


def _check_readable(path: str, action: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        _log.err(f"{action}: error:8{error.errno:07X}:system library::{error.strerror}")
        raise


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load our certificate, what is sent along with it, and our key."""
    more = b""
    if files.peer_certificates:
        try:
            with open(files.peer_certificates, "rb") as file:
                more = file.read()
        except OSError as error:
            _log.err(f"failed to open {files.peer_certificates} for reading: {error.strerror}")
    if not more:
        context.load_cert_chain(files.certificate, files.private_key)
        return
    # Certificates that follow ours in the file are sent with it.
    fd = os.memfd_create("certificates")
    try:
        with open(files.certificate, "rb") as file:
            os.write(fd, file.read() + b"\n" + more)
        context.load_cert_chain(f"/proc/self/fd/{fd}", files.private_key)
    finally:
        os.close(fd)


def _limit(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Apply the lists of versions and ciphers; one that cannot be used is logged and ignored."""
    apply_limits(context, files.protocols or None, files.ciphers or None,
                 files.ciphersuites or None, _log.err)


def _signature(path: str | None) -> tuple | None:
    """Return what changes when a file does, None if there is none."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class TlsContexts:
    """The contexts in use, one for each direction."""

    def __init__(self) -> None:
        self._made: dict[bool, tuple[tuple, ssl.SSLContext]] = {}
        self._failed: dict[bool, tuple[tuple, OSError]] = {}

    def get(self, files: TlsFiles, is_server: bool) -> ssl.SSLContext:
        """Return the context for `files` as they are on the disk now.

        Raises: TlsNotConfigured; OSError when they never could be used.
        """
        state = (files, *map(_signature, (files.private_key, files.certificate,
                                          files.ca_certificate, files.peer_certificates)))
        made_of, context = self._made.get(is_server, (None, None))
        if made_of == state:
            return context
        failed_of, failure = self._failed.get(is_server, (None, None))
        if failed_of != state:
            try:
                new = make_context(files, is_server)
                self._made[is_server] = state, new
                return new
            except OSError as error:
                failure = error
                self._failed[is_server] = state, error
        # What was said once about files that cannot be used is not said for each connection.
        if context is not None and made_of[0] == files:
            return context
        raise failure

    def check(self, files: TlsFiles) -> None:
        """Log what is wrong with the files that are configured."""
        if files.ca_certificate == "none":
            _log.warn("Peer certificate validation disabled (this is a security risk)")
        try:
            self.get(files, True)
        except TlsNotConfigured:
            # TLS is not wanted, or not yet; a wrong list is told all the same.
            _limit(Context(ssl.PROTOCOL_TLS_SERVER), files)
        except OSError:
            pass        # Logged.


def learn_authority(files: TlsFiles, sock: ssl.SSLSocket) -> None:
    """Save the last certificate of the peer's chain as --bootstrap-ca-cert.

    Raises: OSError, after a line in the log.
    """
    chain = sock._sslobj.get_unverified_chain() or []
    if not chain:
        _log.err("could not bootstrap CA cert: no certificate presented by peer")
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    path = files.ca_certificate
    try:
        certificate = chain[-1].public_bytes(2)
        is_new = save_authority(path, certificate)
    except OSError as error:
        _log.err(f"could not bootstrap CA cert: creating {path} failed: {error.strerror}")
        raise
    if is_new:
        _log.info(f"successfully bootstrapped CA cert to {path}")
        _log.info(describe_authority(path, certificate))
        _log.info("killing successful connection to retry using CA cert")
