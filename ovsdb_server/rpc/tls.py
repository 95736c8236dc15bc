"""What a TLS context offers, from the texts of --ssl-protocols and --ssl-ciphersuites.

Imported only where TLS is spoken: loading `ssl` takes longer than starting Python.
"""

import ctypes
import hashlib
import os
import ssl
from collections.abc import Callable


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


# Names of the parts of a subject as OpenSSL shortens them; others stay as they are.
_SHORT = {"countryName": "C", "stateOrProvinceName": "ST", "localityName": "L",
          "organizationName": "O", "organizationalUnitName": "OU", "commonName": "CN"}


def describe_authority(path: str, certificate: bytes) -> str:
    """Return what a log says of an authority that was learned: its subject and fingerprint."""
    import _ssl
    subject = "".join(f"/{_SHORT.get(name, name)}={value}"
                      for part in _ssl._test_decode_cert(path)["subject"] for name, value in part)
    fingerprint = hashlib.sha1(certificate).hexdigest()
    pairs = ":".join(fingerprint[i:i + 2] for i in range(0, len(fingerprint), 2))
    return f"Trusting CA cert from {path} ({subject}) (fingerprint {pairs})"


VERSIONS = {"TLSv1": ssl.TLSVersion.TLSv1, "TLSv1.1": ssl.TLSVersion.TLSv1_1,
            "TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def apply_limits(context: ssl.SSLContext, protocols: str | None, ciphers: str | None,
                 ciphersuites: str | None, complain: Callable[[str], object]) -> None:
    """Offer only what the lists name; a list that cannot be used is told and then ignored."""
    if protocols is not None:
        unknown = limit_versions(context, protocols)
        if unknown is not None:
            complain(f"{unknown}: SSL protocol not recognized" if unknown
                     else "SSL protocol settings invalid")
    if ciphers is not None:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            complain("SSL_CTX_set_cipher_list: error:0A0000B9:SSL routines::no cipher match")
    if ciphersuites is not None:
        try:
            set_ciphersuites(context, ciphersuites)
        except ssl.SSLError:
            complain("SSL_CTX_set_ciphersuites: error:0A0000B9:SSL routines::no cipher match")


def limit_versions(context: ssl.SSLContext, protocols: str) -> str | None:
    """Accept the versions in a list such as "TLSv1.2,TLSv1.3" or "TLSv1.2+".

    Returns the first word that names no version, "" without any word, None if all is well; else
    the context stays as it was.
    """
    words = protocols.replace(",", " ").split()
    for word in words:
        if word.rstrip("+") not in VERSIONS:
            return word
    chosen = [VERSIONS[word.rstrip("+")] for word in words]
    if not chosen:
        return ""
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
        raise ssl.SSLError(0, "no cipher suite match")


def complain_of_own(error: ssl.SSLError) -> str:
    """Return what a log says of our key and certificate that could not be loaded."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return ("Private key does not match certificate public key: error:0A0000BE:SSL routines::"
                "no private key assigned")
    return f"SSL_use_PrivateKey_file: {describe_error(error)}"


def describe_error(error: ssl.SSLError) -> str:
    """Return an error of OpenSSL in its own form, as logs of Open vSwitch show it."""
    import _ssl
    if not isinstance(error.reason, str):
        return str(error)
    library, code = _ssl.err_names_to_codes.get(error.reason, (0, 0))
    return (f"error:{library << 23 | code:08X}:{error.library} routines::"
            f"{error.reason.lower().replace('_', ' ')}")
