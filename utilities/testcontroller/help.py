"""The text of `ovs-testcontroller --help`, for `help_parts.fill`."""

from utilities.help_parts import ACTIVE_METHODS, KEYS, LOGGING

_USAGE = """\
ovs-testcontroller: OpenFlow controller
usage: ovs-testcontroller [OPTIONS] METHOD
where METHOD is any OpenFlow connection method.

"""

_PASSIVE_METHODS = """\
Passive OpenFlow connection methods:
  ptcp:[PORT][:IP]        listen to TCP PORT (default: 6653) on IP
  pssl:[PORT][:IP]        listen for SSL on PORT (default: 6653) on IP
  punix:FILE              listen on Unix domain socket FILE
"""

_DAEMON = """
Daemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: {rundir}/{program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running

OpenFlow version options:
  -V, --version           display version information
  -O, --protocols         set allowed OpenFlow versions
                          (default: OpenFlow10, OpenFlow11, OpenFlow12, OpenFlow13, OpenFlow14, \
OpenFlow15)
"""

_OTHER = """
Other options:
  -H, --hub               act as hub instead of learning switch
  -n, --noflow            pass traffic, but don't add flows
  --max-idle=SECS         max idle time for new flows
  -N, --normal            use OFPP_NORMAL action
  -w, --wildcards[=MASK]  wildcard (specified) bits in flows
  -q, --queue=QUEUE-ID    OpenFlow queue ID to use for output
  -Q PORT-NAME:QUEUE-ID   use QUEUE-ID for frames from PORT-NAME
  --with-flows FILE       use the flows from FILE
  --unixctl=SOCKET        override default control socket name
  -h, --help              display this help message
  -V, --version           display version information
"""

TEXT = _USAGE + ACTIVE_METHODS + _PASSIVE_METHODS + KEYS + _DAEMON + LOGGING + _OTHER
