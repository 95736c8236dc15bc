"""What ovs-vsctl --help prints, derived from the command table and the record names."""

from utilities.command_line import default_remote, log_directory
from utilities.vsctl.command import COMMANDS, RECORD_NAMES

_SECTIONS = (
    ("Open vSwitch commands", {
        "init": "make an empty database usable",
        "show": "print an overview of bridges, ports and interfaces",
        "emer-reset": "go back to plain bridges and ports"}),
    ("Bridge commands", {
        "add-br": "add BRIDGE, or a fake one for VLAN traffic of PARENT",
        "del-br": "delete BRIDGE with all its ports",
        "list-br": "print the bridges' names",
        "br-exists": "exit with 2 unless BRIDGE exists",
        "br-to-vlan": "print the VLAN of a fake bridge, 0 for others",
        "br-to-parent": "print the bridge that carries BRIDGE",
        "br-set-external-id": "set KEY of BRIDGE, or without VALUE remove it",
        "br-get-external-id": "print KEY of BRIDGE, or all pairs"}),
    ("Port commands (a bond counts as one port)", {
        "list-ports": "print the ports of BRIDGE",
        "add-port": "add a network device to BRIDGE",
        "add-bond": "add several devices to BRIDGE as one port",
        "del-port": "delete a port",
        "port-to-br": "print the bridge that has PORT"}),
    ("Interface commands (a bond has several interfaces)", {
        "list-ifaces": "print the interfaces of BRIDGE",
        "iface-to-br": "print the bridge that has IFACE",
        "add-bond-iface": "add an interface to a bond",
        "del-bond-iface": "delete an interface from its bond"}),
    ("Controller commands", {
        "get-controller": "print the controllers of BRIDGE",
        "del-controller": "delete the controllers of BRIDGE",
        "set-controller": "replace the controllers of BRIDGE",
        "get-fail-mode": "print what BRIDGE does without a controller",
        "del-fail-mode": "go back to the default fail mode",
        "set-fail-mode": "set the fail mode: standalone or secure"}),
    ("Manager commands", {
        "get-manager": "print the managers",
        "del-manager": "delete the managers",
        "set-manager": "replace the managers"}),
    ("SSL commands", {
        "get-ssl": "print the files used for SSL/TLS",
        "del-ssl": "delete them",
        "set-ssl": "replace them"}),
    ("Auto Attach commands", {
        "add-aa-mapping": "map an I-SID to a VLAN on BRIDGE",
        "del-aa-mapping": "delete such a mapping",
        "get-aa-mapping": "print the mappings of BRIDGE"}),
    ("Datapath commands", {
        "add-zone-tp": "DATAPATH zone=ID KEY=SECS...: set timeouts of a conntrack zone",
        "del-zone-tp": "DATAPATH zone=ID: back to the default timeouts",
        "list-zone-tp": "DATAPATH: print the zones with timeouts",
        "set-zone-limit": "DATAPATH zone=ID|default LIMIT: limit the connections of a zone",
        "del-zone-limit": "DATAPATH zone=ID|default: delete a limit",
        "list-zone-limits": "DATAPATH: print the limits",
        "list-dp-cap": "DATAPATH: print what the datapath can do"}),
    ("Database commands", {
        "list": "print records, by default all",
        "find": "print the records that fulfil conditions",
        "get": "print columns or keys of a record",
        "set": "set columns or keys of a record",
        "add": "add values or pairs to a column",
        "remove": "remove values, keys or pairs from a column",
        "clear": "empty columns",
        "create": "create a record",
        "destroy": "delete records",
        "wait-until": "wait until a record fulfils conditions",
        "comment": "do nothing; the words are logged"}),
)

_OPTIONS = """\

Options:
  --db=DATABASE               connect to DATABASE
                              (default: {remote})
  --no-wait                   do not wait for ovs-vswitchd to follow
  --retry                     keep trying to connect
  -t, --timeout=SECS          give up after SECS seconds
  --dry-run                   change nothing, wait for nothing
  --plan                      the same, and print which rows would change and what
                              would happen to bridges, ports and flows
  --oneline                   print one line per command
  --no-leader-only            accept any member of a cluster
  --no-shuffle-remotes        try the servers in the order given

Output formatting options:
  -f, --format=FORMAT         "table", "list", "html", "csv" or "json"
  -d, --data=FORMAT           cells as "string", "bare" or "json"
  --no-headings               print no headings
  --pretty                    print JSON with indentation
  --bare                      the same as --format=list --data=bare --no-headings
  --max-column-width=N        cut columns of tables

Logging options:
  -vSPEC, --verbose=SPEC      set logging levels
  -v, --verbose               log everything
  --log-file[=FILE]           log to FILE
                              (default: {log})
  --syslog-method=(libc|unix:file|udp:ip:port|null)
  --syslog-target=HOST:PORT   log to that UDP port
  --no-syslog                 the same as --verbose=vsctl:syslog:warn

Database connection methods:
  tcp:HOST:PORT, ssl:HOST:PORT, unix:FILE
  ptcp:PORT[:IP], pssl:PORT[:IP], punix:FILE

SSL/TLS options:
  -p, --private-key=FILE      our private key
  -c, --certificate=FILE      our certificate
  -C, --ca-cert=FILE          the certificate of the peer's authority
  --bootstrap-ca-cert=FILE    the same, fetched from the peer if it does not exist
  --ssl-protocols=PROTOS      protocols to allow
  --ssl-ciphers=CIPHERS       ciphers to allow up to TLSv1.2
  --ssl-server-name=NAME      the name to tell the server (SNI)

Other options:
  -h, --help                  print this
  -V, --version               print the version
"""


def _usage(arguments: str) -> str:
    """Return the notation of --commands as people write it."""
    words = []
    for word in arguments.split():
        mark, word = word[0], word[1:].replace("?:KEY", "[:KEY]").replace("?KEY=", "[KEY=]")
        words.append({"!": word, "?": f"[{word}]", "*": f"[{word}]...", "+": f"{word}..."}.get(
            mark, mark + word))
    return " ".join(words)


def help_text() -> str:
    """Return the whole text."""
    lines = ["ovs-vsctl: ovs-vswitchd management utility",
             "usage: ovs-vsctl [OPTIONS] COMMAND [ARG...]"]
    for title, commands in _SECTIONS:
        lines += ["", f"{title}:"]
        for name, purpose in commands.items():
            usage = f"{name} {_usage(COMMANDS[name].arguments)}".rstrip()
            if len(usage) > 27:
                lines += [f"  {usage}", f"{'':30}{purpose}"]
            else:
                lines.append(f"  {usage:<27} {purpose}")
    lines.append("Records may be named as follows:")
    for table, ways in sorted(RECORD_NAMES.items()):
        lines += [f"  {table}:", "    by UUID"]
        for way in ways:
            if way.column is None:
                lines.append('    as "."')
            elif way.reference is None:
                lines.append(f'    by "{way.column}"')
            else:
                lines.append(f'    via "{way.reference}" of {way.table} with matching '
                             f'"{way.column}"')
    options = _OPTIONS.format(remote=default_remote(), log=f"{log_directory()}/ovs-vsctl.log")
    return "\n".join(lines) + "\n" + options
