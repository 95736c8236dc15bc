"""ovs-pki: a small public key infrastructure for OpenFlow and database connections over TLS.

Two certificate authorities, one that signs switches and one that signs controllers, live in one
directory, each as an `openssl ca` database; requests and certificates of others are made in the
working directory.  The work is done by the openssl program, whose output goes to a log file.
Commands, options, names of files and printed lines are those of Open vSwitch's ovs-pki(8).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from utilities.command_line import (NO_ARGUMENT, REQUIRED_ARGUMENT, Fatal, log_directory,
                                    parse_options, print_version, run_tool)

PROGRAM = "ovs-pki"
TYPES = ("switch", "controller")
DAYS = "3650"

_OPTIONS = (
    ("key", REQUIRED_ARGUMENT, "k"), ("bits", REQUIRED_ARGUMENT, "B"),
    ("dsaparam", REQUIRED_ARGUMENT, "D"), ("batch", NO_ARGUMENT, "b"),
    ("dir", REQUIRED_ARGUMENT, "d"), ("force", NO_ARGUMENT, "f"),
    ("log", REQUIRED_ARGUMENT, "l"), ("unique", NO_ARGUMENT, "u"),
    ("help", NO_ARGUMENT, "h"), ("version", NO_ARGUMENT, "V"))

_HELP = """\
ovs-pki: keys and certificates for Open vSwitch's connections
usage: ovs-pki [OPTION...] COMMAND [ARG...]

Commands; TYPE is "switch" (the default) or "controller":
  init                  make the certificate authorities
  req NAME              make NAME-privkey.pem and the request NAME-req.pem
  sign NAME [TYPE]      make NAME-cert.pem of NAME-req.pem, signed for TYPE
  req+sign NAME [TYPE]  both of these
  verify NAME [TYPE]    check that NAME-cert.pem was signed for TYPE
  fingerprint FILE      print the fingerprint of a request, certificate or key
  self-sign NAME        make NAME-cert.pem of NAME-req.pem, signed by NAME itself

Options for "init", "req" and "req+sign":
  -k, --key=rsa|dsa     kind of keys (default: rsa)
  -B, --bits=NBITS      bits of a key (default: 2048; of DSA keys, "init" decides)
  -D, --dsaparam=FILE   DSA parameters (default: dsaparam.pem in the directory)
  -u, --unique          NAME is unique: add no UUID to it
Option for "sign":
  -b, --batch           do not ask whether the fingerprint matches
Options for all commands:
  -d, --dir=DIR         directory of the authorities (default: {directory})
  -f, --force           go on where a file or the directory exists
  -l, --log=FILE        where openssl's output goes (default: {log})
  -h, --help            print this
  -V, --version         print the version
"""

# The configuration of an authority for `openssl ca`.
_CA_CONFIG = """\
[req]
prompt = no
distinguished_name = name

[name]
C = US
ST = CA
O = Open vSwitch
OU = {name}
CN = OVS {name} CA Certificate ({date})

[ca]
default_ca = authority

[authority]
dir = {directory}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir/newcerts
certificate = $dir/cacert.pem
private_key = $dir/private/cakey.pem
default_days = {days}
default_crl_days = 30
default_md = sha512
policy = subject
email_in_dn = no
name_opt = ca_default
cert_opt = ca_default
copy_extensions = copy
unique_subject = no

[subject]
C = optional
ST = optional
O = match
OU = optional
CN = supplied
emailAddress = optional

# Of a certificate that is signed for someone.
[usr_cert]
basicConstraints = CA:FALSE

# Of the authority's own certificate.
[ca_cert]
basicConstraints = CA:TRUE
"""

# The configuration of a request.
_REQUEST_CONFIG = """\
[req]
prompt = no
distinguished_name = name
req_extensions = extensions

[extensions]
subjectAltName = DNS:{name}

[name]
C = US
ST = CA
L = Palo Alto
O = Open vSwitch
OU = Open vSwitch certifier
CN = {name}
"""


class Settings:
    """What the options say."""

    def __init__(self) -> None:
        base = os.environ.get("OVS_PKIDIR") or "/var/lib/openvswitch/pki"
        self.directory = base
        self.log = f"{log_directory()}/ovs-pki.log"
        self.key_kind = "rsa"
        self.bits = "2048"
        self.parameters: str | None = None
        self.is_forced = False
        self.is_batch = False
        self.is_unique = False

    @property
    def dsa_parameters(self) -> str:
        return self.parameters or f"{self.directory}/dsaparam.pem"


def main(argv: list[str]) -> int:
    """Run ovs-pki with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    settings = Settings()
    found, words = parse_options(argv, _OPTIONS, reorder=True)
    for name, value in found:
        match name:
            case "key":
                if value not in ("rsa", "dsa"):
                    raise Fatal("argument to -k or --key must be rsa or dsa")
                settings.key_kind = value
            case "bits":
                settings.bits = value
            case "dsaparam":
                settings.parameters = value
            case "batch":
                settings.is_batch = True
            case "dir":
                settings.directory = os.path.abspath(value)
            case "force":
                settings.is_forced = True
            case "log":
                settings.log = os.path.abspath(value)
            case "unique":
                settings.is_unique = True
            case "help":
                sys.stdout.write(_HELP.format(directory=settings.directory, log=settings.log))
                return 0
            case "version":
                print_version(PROGRAM)
                return 0
    if not words:
        raise Fatal("missing command name; use --help for help")
    name, *arguments = words
    if name not in _COMMANDS:
        raise Fatal(f"{name} command unknown; use --help for help")
    n_min, n_max, phrase, command = _COMMANDS[name]
    if not n_min <= len(arguments) <= n_max:
        raise Fatal(f"{name} must have {phrase}; use --help for help")
    if name != "init" and name != "fingerprint" and not os.path.isdir(settings.directory):
        raise Fatal(f"{settings.directory} must exist and be a directory; use --dir to say where "
                    "the authorities are, and the init command to make them")
    command(settings, *arguments)
    return 0


def _openssl(settings: Settings, *words: str, cwd: str | None = None) -> None:
    """Run openssl, its output into the log.  Raises Fatal with what it said when it fails."""
    try:
        done = subprocess.run(["openssl", *words], cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise Fatal("the openssl program is needed (Debian: package openssl)") from None
    try:
        with open(settings.log, "ab") as log:
            log.write(done.stdout)
    except OSError as error:
        raise Fatal(f"{settings.log}: {error.strerror}") from None
    if done.returncode:
        sys.stderr.write(done.stdout.decode("utf-8", "replace"))
        raise Fatal(f"openssl {words[0]} failed, see {settings.log}")


def _new_key(settings: Settings, config: str, key: str, request: str,
             cwd: str | None = None) -> None:
    """Make a private key, readable only by its owner, and a request for its certificate."""
    kind = (f"rsa:{settings.bits}" if settings.key_kind == "rsa"
            else f"dsa:{os.path.abspath(settings.dsa_parameters)}")
    mask = os.umask(0o077)
    try:
        _openssl(settings, "req", "-config", config, "-nodes", "-newkey", kind, "-keyout", key,
                 "-out", f"{request}.new", cwd=cwd)
    finally:
        os.umask(mask)
    new = os.path.join(cwd or "", f"{request}.new")
    os.chmod(new, 0o666 & ~mask)
    os.replace(new, os.path.join(cwd or "", request))


def init(settings: Settings) -> None:
    """Make the directory with both authorities."""
    directory = settings.directory
    if os.path.exists(directory) and not settings.is_forced:
        raise Fatal(f"{directory} already exists and --force not specified")
    os.makedirs(directory, exist_ok=True)
    if settings.key_kind == "dsa" and not os.path.exists(settings.dsa_parameters):
        print("Generating DSA parameters, please wait...", file=sys.stderr)
        _openssl(settings, "dsaparam", "-out", settings.dsa_parameters, settings.bits)
    date = time.strftime("%Y %b %d %H:%M:%S")
    for name in ("controllerca", "switchca"):
        print(f"Creating {name}...", file=sys.stderr)
        _make_authority(settings, name, date)


def _make_authority(settings: Settings, name: str, date: str) -> None:
    home = f"{settings.directory}/{name}"
    for part in ("certs", "crl", "newcerts", "private"):
        os.makedirs(f"{home}/{part}", exist_ok=True)
    os.chmod(f"{home}/private", 0o700)
    for file, text in (("index.txt", ""), ("serial", "01\n"), ("crlnumber", "01\n"),
                       ("ca.cnf", _CA_CONFIG.format(name=name, date=date, directory=home,
                                                    days=DAYS))):
        _write(f"{home}/{file}", text)
    if settings.key_kind == "dsa":
        shutil.copyfile(settings.dsa_parameters, f"{home}/dsaparam.pem")
    _new_key(settings, "ca.cnf", "private/cakey.pem", "careq.pem", cwd=home)
    os.chmod(f"{home}/private/cakey.pem", 0o700)
    _openssl(settings, "ca", "-config", "ca.cnf", "-batch", "-notext", "-selfsign",
             "-create_serial", "-extensions", "ca_cert", "-days", DAYS,
             "-keyfile", "private/cakey.pem", "-in", "careq.pem", "-out", "cacert.pem", cwd=home)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _refuse_to_replace(settings: Settings, *paths: str) -> None:
    for path in paths:
        if os.path.exists(path) and not settings.is_forced:
            raise Fatal(f"{path} already exists and --force not supplied")


def _require(path: str) -> None:
    if not os.path.exists(path):
        raise Fatal(f"{path} does not exist")


def _authority(settings: Settings, kind: str) -> str:
    """Return the directory of the authority that signs for `kind`."""
    if kind not in TYPES:
        raise Fatal("type argument must be 'switch' or 'controller'")
    path = f"{settings.directory}/{kind}ca"
    if not os.path.isdir(path):
        raise Fatal(f"{path} does not exist; use the init command to make it")
    return path


def request(settings: Settings, name: str) -> None:
    """Make a private key and a request."""
    import tempfile
    import uuid
    key, target = f"{name}-privkey.pem", f"{name}-req.pem"
    _refuse_to_replace(settings, key, target)
    full = name if settings.is_unique else f"{name} id:{uuid.uuid4()}"
    if settings.key_kind == "dsa":
        _require(settings.dsa_parameters)
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write(_REQUEST_CONFIG.format(name=full))
        config.flush()
        _new_key(settings, config.name, key, target)
    fingerprint(settings, target)


def sign(settings: Settings, name: str, kind: str = "switch") -> None:
    """Have an authority sign a request; somebody has to compare the fingerprint before."""
    authority = _authority(settings, kind)
    source, target = f"{name}-req.pem", f"{name}-cert.pem"
    _require(source)
    _refuse_to_replace(settings, target)
    fingerprint(settings, source)
    if not settings.is_batch:
        print("Does fingerprint match? (yes/no)", flush=True)
        if sys.stdin.readline().strip() not in ("yes", "YES", "Yes", "y"):
            raise Fatal("Match failure, aborting")
    _sign(settings, authority, source, target)


def _sign(settings: Settings, authority: str, source: str, target: str) -> None:
    try:
        _openssl(settings, "ca", "-config", "ca.cnf", "-batch", "-notext",
                 "-extensions", "usr_cert", "-in", os.path.abspath(source),
                 "-out", f"{os.path.abspath(target)}.new",
                 cwd=authority)
        os.replace(f"{target}.new", target)
    finally:
        if os.path.exists(f"{target}.new"):
            os.unlink(f"{target}.new")


def request_and_sign(settings: Settings, name: str, kind: str = "switch") -> None:
    """Do both without asking."""
    authority = _authority(settings, kind)
    _refuse_to_replace(settings, f"{name}-cert.pem")
    request(settings, name)
    _sign(settings, authority, f"{name}-req.pem", f"{name}-cert.pem")


def verify(settings: Settings, name: str, kind: str = "switch") -> None:
    """Check who signed a certificate."""
    certificate = f"{name}-cert.pem"
    _require(certificate)
    authority = _authority(settings, kind)
    sys.stdout.flush()
    code = subprocess.run(["openssl", "verify", "-CAfile", f"{authority}/cacert.pem",
                           certificate]).returncode
    if code:
        raise Fatal(None, code)


def fingerprint(settings: Settings, path: str) -> None:
    """Print when a file was changed, and its fingerprint: of a certificate the one that others show
    too, of other files the SHA-1 of their contents."""
    try:
        with open(path, "rb") as file:
            data = file.read()
            changed = os.fstat(file.fileno()).st_mtime
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" in data:
        import ssl
        start = data.index(b"-----BEGIN CERTIFICATE-----")
        try:
            der = ssl.PEM_cert_to_DER_cert(data[start:].decode("ascii", "replace"))
        except ValueError as error:
            raise Fatal(f"{path}: {error}") from None
        digest = hashlib.sha1(der).hexdigest().upper()
    else:
        digest = hashlib.sha1(data).hexdigest()
    moment = time.localtime(changed)
    stamp = time.strftime("%a %b ", moment) + f"{moment.tm_mday:2}" + time.strftime(
        " %H:%M:%S %Z %Y", moment)
    print(f"{path}\t{stamp}\n\tfingerprint {digest}", flush=True)


def self_sign(settings: Settings, name: str) -> None:
    """Sign a request with its own key."""
    import tempfile
    source, key, target = f"{name}-req.pem", f"{name}-privkey.pem", f"{name}-cert.pem"
    _require(source)
    _require(key)
    _refuse_to_replace(settings, target)
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as extensions:
        extensions.write(f"subjectAltName = DNS:{name}\n")
        extensions.flush()
        _openssl(settings, "x509", "-in", source, "-out", f"{target}.new", "-signkey", key, "-req",
                 "-days", DAYS, "-extfile", extensions.name)
    os.replace(f"{target}.new", target)


# Command: fewest and most arguments, how the right number is called, function.
_COMMANDS: dict[str, tuple[int, int, str, Callable]] = {
    "init": (0, 0, "no arguments", init),
    "req": (1, 1, "exactly one argument", request),
    "sign": (1, 2, "one or two arguments", sign),
    "req+sign": (1, 2, "one or two arguments", request_and_sign),
    "verify": (1, 2, "one or two arguments", verify),
    "fingerprint": (1, 1, "exactly one argument", fingerprint),
    "self-sign": (1, 1, "exactly one argument", self_sign),
}
