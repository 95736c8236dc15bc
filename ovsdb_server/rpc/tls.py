"""What a TLS context offers, from the texts of --ssl-protocols and --ssl-ciphersuites.

Imported only where TLS is spoken: loading `ssl` takes longer than starting Python.
"""

import ctypes
import os
import ssl

# What `set_ciphersuites` complains of.
NO_SUITE = "no cipher suite match"


class Context(ssl.SSLContext):
    """A TLS context and what else its connections need.

    `server_name` is told to the server (SNI).  `learn(sock)`, if not None, takes what it wants
    from the peer's certificates after the handshake; the connection is then given up.
    """

    server_name: str | None = None
    learn = None


def save_authority(path: str, certificate: bytes) -> bool:
    """Save `certificate` (DER) of a peer as --bootstrap-ca-cert; False if another was faster.

    Whoever answers now is trusted from then on: that is what bootstrapping means.
    Raises: OSError.
    """
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444)
    except FileExistsError:
        return False
    with os.fdopen(fd, "w") as file:
        file.write(ssl.DER_cert_to_PEM_cert(certificate))
    return True


VERSIONS = {"TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.1": ssl.TLSVersion.TLSv1_1,
            "TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def limit_versions(context: ssl.SSLContext, protocols: str) -> str | None:
    """Accept the versions in a list such as "TLSv1.2,TLSv1.3" or "TLSv1.2+".

    Returns the first word that names no version, None if all do; with such a word the context
    stays as it was.
    """
    words = protocols.replace(",", " ").split()
    for word in words:
        if word.rstrip("+") not in VERSIONS:
            return word
    chosen = [VERSIONS[word.rstrip("+")] for word in words]
    if chosen:
        context.minimum_version = min(chosen)
        if not any(word.endswith("+") for word in words):
            context.maximum_version = max(chosen)
    return None


def set_ciphersuites(context: ssl.SSLContext, names: str) -> None:
    """Offer the TLS 1.3 cipher suites in `names`, separated by colons.  Raises: ssl.SSLError.

    Python has no call for this, so OpenSSL's own is used on the structure that the context
    wraps; its pointer is the first member after the object's header.
    """
    import _ssl     # Its shared object leads to the very OpenSSL that the context came from.
    library = ctypes.CDLL(_ssl.__file__)
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    set_names = library.SSL_CTX_set_ciphersuites
    set_names.argtypes = ctypes.c_void_p, ctypes.c_char_p
    if set_names(pointer, names.encode()) != 1:
        raise ssl.SSLError(0, NO_SUITE)


def describe_error(error: ssl.SSLError) -> str:
    """Return an error of OpenSSL in its own form, as logs of Open vSwitch show it."""
    import _ssl
    if not isinstance(error.reason, str):
        return str(error)
    library, code = _ssl.err_names_to_codes.get(error.reason, (0, 0))
    return (f"error:{library << 23 | code:08X}:{error.library} routines::"
            f"{error.reason.lower().replace('_', ' ')}")
