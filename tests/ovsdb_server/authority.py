"""A certificate authority in a directory, for tests of TLS."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_START = datetime.datetime(2020, 1, 1)


class Authority:
    """An authority called `name`; its files, and those of what it issues, are in `directory`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._n_issued = 0
        self.file = str(directory / f"{name}-ca.pem")
        Path(self.file).write_bytes(self._sign(name, self._key, True))

    def issue(self, common_name: str) -> tuple[str, str, str]:
        """Make a key and a certificate; return (key file, certificate file, CA file)."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = [self._directory / f"{common_name}-{kind}.pem" for kind in ("key", "cert")]
        files[0].write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        files[1].write_bytes(self._sign(common_name, key, False))
        return str(files[0]), str(files[1]), self.file

    def _sign(self, subject: str, key, is_authority: bool) -> bytes:
        self._n_issued += 1
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
                 for text in (subject, self._name)]
        builder = (x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
                   .public_key(key.public_key()).serial_number(self._n_issued)
                   .not_valid_before(_START)
                   .not_valid_after(_START + datetime.timedelta(days=36500))
                   .add_extension(x509.BasicConstraints(is_authority, None), critical=True))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
