"""What the --help of several programs has in common.

The texts are joined to a program's own, and `fill` puts in its name and its directories.  Loaded
only where --help is asked for.
"""

from utilities.command_line import log_directory, run_directory

ACTIVE_METHODS = """\
Active OpenFlow connection methods:
  tcp:HOST[:PORT]         PORT (default: 6653) at remote HOST
  ssl:HOST[:PORT]         SSL PORT (default: 6653) at remote HOST
  unix:FILE               Unix domain socket named FILE
"""

KEYS = """\
PKI configuration (required to use SSL):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
"""

LOGGING = """
Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: {logdir}/{program}.log)
  --syslog-method=(libc|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP
"""


def fill(text: str, program: str, **places: str) -> str:
    """Return `text` with {program}, {rundir} and {logdir}, and more `places`, filled in."""
    return text.format(program=program, rundir=run_directory(), logdir=log_directory(), **places)
