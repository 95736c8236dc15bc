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
        return connect(remote)
    if files.complain():
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    authority = files.ca_certificate
    tls = tls_of(files, None if authority == "none" else authority)
    try:
        if files.bootstrap and not os.path.exists(authority):
            _fetch_authority(remote, files)
        return connect(remote, None, tls)
    except OSError as error:
        if not type(error).__name__.startswith("SSL"):
            raise
        # The ssl module is loaded by now.  Without a reason it is our list of ciphers.
        from ovsdb_server.rpc.tls import NO_SUITE, describe_error
        reason = getattr(error, "reason", None)
        if not isinstance(reason, str):
            what = "ciphersuites" if error.strerror == NO_SUITE else "cipher_list"
            LOG.log("stream_ssl", ERR,
                    f"SSL_CTX_set_{what}: error:0A0000B9:SSL routines::no cipher match")
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from None
        LOG.log("stream_ssl", WARN, f"SSL_connect: {describe_error(error)}")
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from None


def _complain_of_syntax(remote: str, complaint: str) -> None:
    """Log what is wrong with a malformed remote."""
    kind, _, rest = remote.partition(":")
    LOG.log("socket_util", ERR, complaint.removeprefix(f"{kind}:"))
    if kind in ("tcp", "ssl"):
        LOG.log(f"stream_{kind}", ERR,
                f"{remote}: connect: {os.strerror(errno.EAFNOSUPPORT)}")


def tls_of(files: TlsFiles, authority: str | None) -> Tls:
    """Return the files for a connection; `authority` None means that anybody is trusted."""
    certificate = files.certificate
    if files.peer_ca_certificate is not None:
        # Certificates that follow ours in the file are sent to the peer with it.
        fd = os.memfd_create("certificates")
        for path in (files.certificate, files.peer_ca_certificate):
            with open(path, "rb") as file:
                os.write(fd, file.read())
        certificate = f"/proc/self/fd/{fd}"
    return Tls(files.private_key, certificate, authority, files.protocols, files.ciphers,
               files.server_name, files.ciphersuites)


def _fetch_authority(remote: str, files: TlsFiles) -> None:
    """Save the certificate at the end of the peer's chain as our --bootstrap-ca-cert."""
    from ovsdb_server.rpc.tls import save_authority     # Loads the ssl module.
    with connect(remote, None, tls_of(files, None)) as connection:
        chain = connection.peer_chain()
    if not chain:
        LOG.log("stream_ssl", ERR, "could not obtain CA certificate from peer")
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    if save_authority(files.ca_certificate, chain[-1]):
        LOG.log("stream_ssl", INFO, f"successfully bootstrapped CA cert to {files.ca_certificate}")
