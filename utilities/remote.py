"""How the tools open a database server's remote: with the files that the TLS options name."""

import errno
import os

from ovsdb_server.rpc.address import parse_remote
from ovsdb_server.rpc.blocking import Connection, Tls, connect
from utilities.command_line import ERR, INFO, LOG, WARN, TlsFiles


def open_remote(remote: str, files: TlsFiles) -> Connection:
    """Connect to `remote`, or for a passive one wait for a connection.

    Raises OSError for a malformed remote (EAFNOSUPPORT, as the reference) or a failed connection.
    """
    try:
        parse_remote(remote)
    except ValueError as error:
        _complain_of_syntax(remote, str(error))
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT)) from None
    if not remote.startswith(("ssl:", "pssl:")):
        try:
            return connect(remote)
        except OSError as error:
            if type(error).__name__ != "gaierror":
                raise
            # The reference tells nothing else of a host that has no address.
            reason = os.strerror(errno.EAFNOSUPPORT)
            LOG.log("stream_tcp", ERR, f"{remote}: connect: {reason}")
            raise OSError(errno.EAFNOSUPPORT, reason) from None
    if files.complain():
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    try:
        return connect(remote, None, tls_of(files))
    except OSError as error:
        if not isinstance(getattr(error, "reason", None), str):
            raise               # Not an SSLError.
        # The ssl module is loaded by now.
        from ovsdb_server.rpc.tls import complain_of_own, describe_error
        if error.reason == "KEY_VALUES_MISMATCH":
            LOG.log("stream_ssl", ERR, complain_of_own(error))
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT)) from None
        LOG.log("stream_ssl", WARN, f"SSL_connect: {describe_error(error)}")
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from None


def failure_of(error: OSError) -> str:
    """Return why a connection was lost; what has gone wrong under TLS is logged here."""
    if type(error).__module__ != "ssl":
        return os.strerror(error.errno) if error.errno else str(error)
    if not isinstance(error.reason, str):       # The peer was gone before we wrote.
        LOG.log("stream_ssl", WARN, f"SSL_write: system error ({os.strerror(errno.EPIPE)})")
        return os.strerror(errno.EPIPE)
    from ovsdb_server.rpc.tls import describe_error     # The ssl module is loaded by now.
    LOG.log("stream_ssl", WARN, f"SSL_read: {describe_error(error)}")
    return os.strerror(errno.EIO)


def _complain_of_syntax(remote: str, complaint: str) -> None:
    """Log what is wrong with a malformed remote."""
    kind, _, rest = remote.partition(":")
    LOG.log("socket_util", ERR, complaint.removeprefix(f"{kind}:"))
    if kind in ("tcp", "ssl"):
        LOG.log(f"stream_{kind}", ERR,
                f"{remote}: connect: {os.strerror(errno.EAFNOSUPPORT)}")


def tls_of(files: TlsFiles) -> Tls:
    """Return the files for a connection, which learns the authority where it is not known yet."""
    certificate = files.certificate
    if files.peer_ca_certificate is not None:
        # Certificates that follow ours in the file are sent to the peer with it.
        fd = os.memfd_create("certificates")
        for path in (files.certificate, files.peer_ca_certificate):
            with open(path, "rb") as file:
                os.write(fd, file.read())
        certificate = f"/proc/self/fd/{fd}"
    authority, learn = files.ca_certificate, None
    if files.bootstrap and not os.path.exists(authority):
        authority, learn = None, lambda sock: _learn_authority(sock, files.ca_certificate)
    elif authority == "none":
        authority = None
    return Tls(files.private_key, certificate, authority, files.protocols, files.ciphers,
               files.server_name, files.ciphersuites, _complain_once, learn)


_complaints: set[str] = set()


def _complain_once(text: str) -> None:
    """Log what is wrong with an option, for the first of several connections."""
    if text not in _complaints:
        _complaints.add(text)
        LOG.log("stream_ssl", ERR, text)


def _learn_authority(sock, path: str) -> None:
    """Save the certificate at the end of the peer's chain as our --bootstrap-ca-cert."""
    from ovsdb_server.rpc.tls import describe_authority, save_authority  # Loads the ssl module.
    # The ssl module offers the chain publicly only from Python 3.13 on.
    chain = sock._sslobj.get_unverified_chain() or ()
    if not chain:
        LOG.log("stream_ssl", ERR, "could not bootstrap CA cert: no certificate presented by peer")
        return
    certificate = chain[-1].public_bytes(2)
    try:
        is_new = save_authority(path, certificate)
    except OSError as error:
        LOG.log("stream_ssl", ERR,
                f"could not bootstrap CA cert: creating {path} failed: {error.strerror}")
        raise
    if is_new:
        LOG.log("stream_ssl", INFO, f"successfully bootstrapped CA cert to {path}")
        LOG.log("stream_ssl", INFO, describe_authority(path, certificate))
        LOG.log("stream_ssl", INFO, "killing successful connection to retry using CA cert")
