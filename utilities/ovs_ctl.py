"""ovs-ctl: starts, stops, restarts and checks the daemons; what init scripts call.

Creates the database, or converts one of another schema version (with a backup beside it), starts
ovsdb-server and ovs-vswitchd, and records in the database what system this is.  A restart keeps
the flows: ovs-save writes them down, and the switch forwards nothing until they are back.
The commands, options and printed lines are those of Open vSwitch's ovs-ctl(8).
"""

import os
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from utilities.command_line import VERSION
from utilities.service import (Account, Directories, is_running, output_of, print_status,
                               run_action, say_failure, say_success, say_warning, stop_daemon)

DAEMONS = ("ovsdb-server", "ovs-vswitchd")
FILE_DESCRIPTORS = 65535
CORE_BYTES = 67108864 * 512            # ulimit counts in blocks of 512 bytes.

USAGE = """\
{program}: starts, stops and checks the Open vSwitch daemons
usage: {program} [OPTIONS] COMMAND

Meant for the scripts that start and stop a system; administrators rarely need it.

Commands:
  start                       start the daemons
  stop                        stop the daemons
  restart                     stop and start the daemons, keeping the flows
  status                      tell whether the daemons are running
  version                     print the versions of the daemons
  load-kmod                   (nothing to do: this datapath needs no kernel module)
  force-reload-kmod           the same as restart, for the same reason
  enable-protocol             let a protocol in through iptables
  delete-transient-ports      delete ports with other_config:transient=true
  record-hostname-if-not-set  store the host's name in the database, unless one is there
  start-ovs-ipsec             start the IPsec daemon
  stop-ovs-ipsec              stop the IPsec daemon
  help                        print this text

One of these is needed for "start", "restart" and "force-reload-kmod":
  --system-id=UUID            what identifies this system
  --system-id=random          a random UUID, made once and kept in a file

Other important options for them:
  --system-type=TYPE          what kind of system this is
  --system-version=VERSION    and which version of it
  --external-id="KEY=VALUE"   add a pair to external-ids of table Open_vSwitch
  --delete-bridges            delete all bridges before ovs-vswitchd starts
  --delete-transient-ports    delete transient ports before ovs-vswitchd starts
  --ovs-user="USER[:GROUP]"   run the daemons under this account

Less important options for them:
  --daemon-cwd=DIR               working directory of the daemons (default: {daemon_cwd})
  --no-force-corefiles           leave the limit of core dumps as it is
  --dump-hugepages               huge pages are part of core dumps
  --no-mlockall                  do not lock ovs-vswitchd into memory
  --no-monitor                   do not restart a daemon that crashes
  --no-self-confinement          let daemons connect to sockets outside the run directory
  --ovsdb-server-priority=NICE   niceness of ovsdb-server (default: {ovsdb_server_priority})
  --ovsdb-server-options=OPTIONS more options for ovsdb-server
  --ovsdb-server-umask=MODE      umask of ovsdb-server
  --ovs-vswitchd-priority=NICE   niceness of ovs-vswitchd (default: {ovs_vswitchd_priority})
  --ovs-vswitchd-options=OPTIONS more options for ovs-vswitchd
  --ovs-vswitchd-umask=MODE      umask of ovs-vswitchd
  --no-full-hostname             record the short name of the host
  --no-record-hostname           do not record the name of the host
  --no-ovsdb-server              leave ovsdb-server alone
  --no-ovs-vswitchd              leave ovs-vswitchd alone

For debugging:
  --ovsdb-server-wrapper=WRAPPER
  --ovs-vswitchd-wrapper=WRAPPER
     run the daemon under WRAPPER: valgrind, strace or glibc

Locations of files:
  --db-file=FILE     database (default: {db_file})
  --db-sock=SOCKET   its socket (default: {db_sock})
  --db-schema=FILE   its schema (default: {db_schema})
  --extra-dbs=FILES  further databases, separated by spaces

Options of "enable-protocol":
  --protocol=PROTOCOL  the protocol to let in (default: {protocol})
  --sport=PORT         source port (for tcp or udp)
  --dport=PORT         destination port (for tcp or udp)

Other options:
  -h, --help           print this text
  -V, --version        print the version

Directories, and the environment variables that move them:
  logs: {log} (OVS_LOGDIR)
  pidfiles and sockets: {run} (OVS_RUNDIR)
  conf.db: {database} (OVS_DBDIR)
  system configuration: {system} (OVS_SYSCONFDIR)
  data files: {data} (OVS_PKGDATADIR)
  programs: OVS_BINDIR, OVS_SBINDIR
"""


class Failure(Exception):
    """The command cannot go on; what there is to say has been printed."""


def default_options(directories: Directories) -> dict[str, str | bool]:
    """Return the value of every option before the command line is read."""
    system_type, system_version = _system(directories)
    return {
        "system-id": "", "system-type": system_type, "system-version": system_version,
        "full-hostname": True, "record-hostname": True,
        "delete-bridges": False, "delete-transient-ports": False,
        "daemon-cwd": "/", "force-corefiles": True, "dump-hugepages": False, "mlockall": True,
        "self-confinement": True, "monitor": True, "ovs-user": "",
        "ovsdb-server": True, "ovs-vswitchd": True,
        "ovsdb-server-priority": "-10", "ovs-vswitchd-priority": "-10",
        "ovsdb-server-wrapper": "", "ovs-vswitchd-wrapper": "",
        "ovsdb-server-options": "", "ovs-vswitchd-options": "",
        "ovsdb-server-umask": "", "ovs-vswitchd-umask": "",
        "db-file": f"{directories.database}/conf.db", "db-sock": f"{directories.run}/db.sock",
        "db-schema": f"{directories.data}/vswitch.ovsschema", "extra-dbs": "",
        "protocol": "gre", "sport": "", "dport": "",
        "ike-daemon": "", "restart-ike-daemon": True,
    }


def _system(directories: Directories) -> tuple[str, str]:
    """Return the type and version of this system, from its own files or /etc/os-release."""
    try:
        return (Path(directories.system, "system-type.conf").read_text().strip(),
                Path(directories.system, "system-version.conf").read_text().strip())
    except OSError:
        pass
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return "unknown", "unknown"
    pairs = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    unquote = lambda text: "".join(shlex.split(text)[:1])
    return unquote(pairs.get("ID", "")), unquote(pairs.get("VERSION_ID", ""))


class Control:
    """One run of ovs-ctl: its options and what its commands share."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.directories = Directories()
        self.options = default_options(self.directories)
        self.external_ids: list[str] = []
        self.command = ""

    def complain(self, text: str) -> None:
        """Print a complaint about the command line."""
        print(f"{self.program}: {text}", file=sys.stderr, flush=True)

    def parse(self, argv: list[str]) -> int | None:
        """Read the command line; return an exit code if there is nothing more to do."""
        for word in argv:
            name, equals, value = word.partition("=")
            if word in ("-h", "--help"):
                return self.help()
            elif word in ("-V", "--version"):
                print(f"{self.program} (Open vSwitch) {VERSION}")
                return 0
            elif name == "--external-id" and equals:
                if "=" not in value:
                    self.complain('--external-id argument not in the form "key=value"')
                    return 1
                self.external_ids.append(f"external-ids:{value}")
            elif word.startswith("--") and word[2:3].islower():
                self._set_option(word, name[2:], value if equals else None)
            elif word.startswith("-"):
                self.complain(f'unknown option "{word}" (use --help for help)')
                return 1
            elif self.command:
                self.complain("exactly one non-option argument required (use --help for help)")
                return 1
            else:
                self.command = word
        return None

    def _set_option(self, word: str, name: str, value: str | None) -> None:
        """Set one option; an unknown one is complained about and passed over."""
        if value is None and name.startswith("no-") and name not in self.options:
            name, value = name[3:], False
        elif value is None:
            value = True
        old = self.options.get(name)
        if old is None or (isinstance(value, bool) and not isinstance(old, bool)):
            self.complain(f'unknown option "{word}" (use --help for help)')
        elif isinstance(old, bool) and isinstance(value, str):
            self.options[name] = value == "yes"
        else:
            self.options[name] = value

    def help(self) -> int:
        """Print how to use the program."""
        names = {name.replace("-", "_"): value
                 for name, value in default_options(self.directories).items()}
        print(USAGE.format(program=self.program, **names, **vars(self.directories)), end="")
        return 0

    @property
    def account(self) -> Account:
        """Whose the daemons and files are."""
        return Account(self.options["ovs-user"])

    def vsctl(self, *args: str) -> list[str]:
        """Return the ovs-vsctl command that works without a running ovs-vswitchd."""
        command = ["ovs-vsctl", "--no-wait"]
        if self.options["db-sock"] != f"{self.directories.run}/db.sock":
            command.append(f"--db=unix:{self.options['db-sock']}")
        return [*command, *args]

    # Start.

    def start(self) -> int:
        """Start what is not running, the database first."""
        self.start_database()
        self.start_forwarding()
        self.add_managers()
        return 0

    def start_database(self) -> None:
        """Start ovsdb-server with a database of our schema, and describe the system in it."""
        if not self.options["ovsdb-server"]:
            return
        self._allow_core_dumps()
        if is_running("ovsdb-server", self.directories):
            say_success("ovsdb-server is already running")
            return
        self._prepare_database()
        command = ["ovsdb-server", self.options["db-file"], *self._extra_databases()]
        if not self.options["self-confinement"]:
            command.append("--no-self-confinement")
        command += ["-vconsole:emer", "-vsyslog:err", "-vfile:info",
                    f"--remote=punix:{self.options['db-sock']}",
                    "--private-key=db:Open_vSwitch,SSL,private_key",
                    "--certificate=db:Open_vSwitch,SSL,certificate",
                    "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert"]
        self._start_daemon(command)
        version = output_of(["ovsdb-tool", "-vconsole:off", "schema-version",
                             self.options["db-schema"]])
        self._must(self.vsctl("--", "init", "--", "set", "Open_vSwitch", ".",
                              f"db-version={version}"))
        self._record_system()
        if self.options["delete-bridges"]:
            for bridge in output_of(self.vsctl("list-br")).split():
                subprocess.run(self.vsctl("del-br", bridge))
        if self.options["delete-transient-ports"]:
            self.delete_transient_ports()

    def start_forwarding(self) -> None:
        """Start ovs-vswitchd."""
        if self.options["ovs-vswitchd"]:
            self._allow_core_dumps()
            if is_running("ovs-vswitchd", self.directories):
                say_success("ovs-vswitchd is already running")
            else:
                _allow_files(FILE_DESCRIPTORS)
                command = ["ovs-vswitchd", f"unix:{self.options['db-sock']}",
                           "-vconsole:emer", "-vsyslog:err", "-vfile:info"]
                if self.options["mlockall"]:
                    command.append("--mlockall")
                if not self.options["self-confinement"]:
                    command.append("--no-self-confinement")
                self._start_daemon(command)
        if self.options["record-hostname"] and os.fork() == 0:
            # Finding the full name may take the network and so its time.
            self.record_hostname()
            os._exit(0)

    def add_managers(self) -> None:
        """Let ovsdb-server connect to the managers that the database names."""
        may = self.options["ovsdb-server"] or self.options["ovs-vswitchd"]
        if may and is_running("ovsdb-server", self.directories):
            run_action("Enabling remote OVSDB managers", [
                "ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/add-remote",
                "db:Open_vSwitch,Open_vSwitch,manager_options"])

    def _must(self, command: list[str]) -> None:
        if subprocess.run(command).returncode != 0:
            raise Failure

    def _start_daemon(self, command: list[str]) -> None:
        """Start the daemon of `command` as the options ask.  Raises: Failure."""
        daemon = command[0]
        account = self.account
        account.make_directory(self.options["daemon-cwd"])
        account.make_directory(self.directories.log, 0o750)
        account.make_directory(self.directories.run)
        if self.options["ovs-user"]:
            command += ["--user", self.options["ovs-user"]]
        command += self.options[f"{daemon}-options"].split()
        command += ["--no-chdir", f"--log-file={self.directories.log}/{daemon}.log",
                    f"--pidfile={self.directories.run}/{daemon}.pid", "--detach"]
        if self.options["monitor"]:
            command.append("--monitor")
        command = self._wrap(daemon, command)
        if priority := self.options[f"{daemon}-priority"]:
            command = ["nice", "-n", priority, *command]
        umask = self.options[f"{daemon}-umask"]
        if not run_action(f"Starting {daemon}", command, cwd=self.options["daemon-cwd"],
                          umask=int(umask, 8) if umask else -1):
            raise Failure

    def _wrap(self, daemon: str, command: list[str]) -> list[str]:
        """Return `command` as it runs under the wrapper chosen for `daemon`."""
        wrapper, log = self.options[f"{daemon}-wrapper"], self.directories.log
        programs = {
            "valgrind": ["valgrind", "-q", "--leak-check=full", "--time-stamp=yes",
                         f"--log-file={log}/{daemon}.valgrind.log.%p"],
            "strace": ["strace", "-tt", "-T", "-s", "256", "-ff", "-D",
                       "-o", f"{log}/{daemon}.strace.log"],
            "glibc": ["env", "MALLOC_CHECK_=2", "MALLOC_PERTURB_=165"],
        }
        if not wrapper:
            return command
        if wrapper not in programs:
            say_failure(f"unknown wrapper {wrapper}, running {daemon} without it")
            return command
        words = programs[wrapper]
        if wrapper != "glibc" and not output_of([words[0], "--version"]):
            say_failure(f"{words[0]} not installed, running {daemon} without it")
            return command
        return [*words, *command]

    def _extra_databases(self) -> list[str]:
        found = []
        for name in self.options["extra-dbs"].split():
            path = os.path.join(self.directories.database, name)
            if not os.path.isfile(path):
                say_warning(f"{path} (from $EXTRA_DBS) does not exist.")
            elif output_of(["ovsdb-tool", "db-version", path]):
                found.append(path)
            else:
                say_warning(f"{path} (from $EXTRA_DBS) cannot be read as a database "
                            "(see error message above)")
        return found

    def _tool(self, *args: str) -> list[str]:
        return ["ovsdb-tool", "-vconsole:off", *args]

    def _prepare_database(self) -> None:
        """Create the database, or convert one of another schema version.  Raises: Failure."""
        path, schema = self.options["db-file"], self.options["db-schema"]
        owner = self.account.as_options()
        create = self._tool("create", path, schema)
        if not os.path.exists(path):
            say_warning(f"{path} does not exist")
            self.account.make_directory(os.path.dirname(path) or ".")
            if not run_action(f"Creating empty database {path}", create, **owner):
                raise Failure
            return
        if output_of(self._tool("needs-conversion", path, schema), **owner) != "yes":
            return
        version = output_of(self._tool("db-version", path), **owner)
        checksum = output_of(self._tool("db-cksum", path), **owner).partition(" ")[0]
        backup = f"{path}.backup{version}-{checksum}"
        if not run_action(f"Backing up database to {backup}", ["cp", path, backup]):
            raise Failure
        # An old schema without garbage collection may have kept rows that replaying the journal
        # under the new one would drop at once; after compaction all rows come together.
        run_action("Compacting database", self._tool("compact", path), **owner)
        if not run_action("Converting database schema",
                          self._tool("convert", path, schema), **owner):
            say_warning("Schema conversion failed, using empty database instead")
            os.unlink(path)
            if not run_action(f"Creating empty database {path}", create, **owner):
                raise Failure

    def _allow_core_dumps(self) -> None:
        if self.options["dump-hugepages"]:
            Path("/proc/self/coredump_filter").write_text("0x7f")
        if self.options["force-corefiles"]:
            _raise_limit(resource.RLIMIT_CORE, resource.RLIM_INFINITY
                         if self.options["dump-hugepages"] else CORE_BYTES)

    def _record_system(self) -> None:
        """Store in the database which system this is and which version of the suite it runs."""
        line = output_of(["ovs-vswitchd", "--version"]).partition("\n")[0]
        pairs = [f"ovs-version={line.rpartition(' ')[2]}"]
        identity = self._system_id()
        if not identity:
            say_failure("system ID not configured, please use --system-id")
        pairs += [f"external-ids:system-id={_quote(identity)}",
                  f"external-ids:rundir={_quote(self.directories.run)}"]
        for option in ("system-type", "system-version"):
            if self.options[option]:
                pairs.append(f"{option}={_quote(self.options[option])}")
            else:
                text = option.replace("-", " ")
                say_failure(f"no default {text}, please use --{option}")
        run_action("Configuring Open vSwitch system IDs", self.vsctl(
            "set", "Open_vSwitch", ".", *pairs, *self.external_ids))

    def _system_id(self) -> str:
        """Return the system id; "random" is made once and kept."""
        if self.options["system-id"] != "random":
            return self.options["system-id"]
        path = Path(self.directories.system, "system-id.conf")
        try:
            return path.read_text().strip()
        except OSError:
            pass
        identity = Path("/proc/sys/kernel/random/uuid").read_text().strip()
        try:
            self.account.make_directory(str(path.parent))
            path.write_text(identity + "\n")
        except OSError as error:
            say_warning(f"{path}: {error.strerror}, system ID will not persist")
        return identity

    # Stop, restart and the rest.

    def stop(self) -> int:
        """Stop both daemons, the switch first."""
        self._stop("ovs-vswitchd")
        self._stop("ovsdb-server")
        return 0

    def _stop(self, daemon: str) -> None:
        if self.options[daemon]:
            stop_daemon(daemon, self.directories)

    def restart(self) -> int:
        """Stop and start, with the flows written down before and put back after."""
        with tempfile.TemporaryDirectory(prefix="ovs-ctl-") as directory:
            script = Path(directory, "flows")
            if all(is_running(daemon, self.directories) for daemon in DAEMONS) and (
                    self.options["ovs-vswitchd"] and not self.options["delete-bridges"]):
                self._save_flows(script)
            self._stop("ovsdb-server")           # First: reading a large one takes its time.
            self.start_database()
            self._stop("ovs-vswitchd")
            if self.options["ovs-vswitchd"]:
                subprocess.run(self.vsctl("set", "open_vswitch", ".",
                                          "other_config:flow-restore-wait=true"))
            self.start_forwarding()
            if script.exists():
                run_action("Restoring saved flows", ["sh", str(script)])
            if self.options["ovs-vswitchd"]:
                subprocess.run(self.vsctl("--if-exists", "remove", "open_vswitch", ".",
                                          "other_config", "flow-restore-wait=true"))
            self.add_managers()
        return 0

    def _save_flows(self, script: Path) -> None:
        """Write the shell script that restores the flows of all bridges to `script`."""
        bridges = output_of(self.vsctl("--", "--real", "list-br")).split()
        if bridges:
            with open(script, "w") as file:
                is_done = run_action("Saving flows", ["ovs-save", "save-flows", *bridges],
                                     stdout=file)
            if not is_done:
                script.unlink()
        else:
            say_success("Saving flows")

    def force_reload_kmod(self) -> int:
        """There is no kernel module to reload; what remains of the command is the restart."""
        if not self.options["ovs-vswitchd"]:
            say_failure("Reloading of kmod without ovs-vswitchd is an error")
            return 1
        return self.restart()

    def load_kmod(self) -> int:
        """Nothing: the datapath is part of ovs-vswitchd."""
        return 0

    def status(self) -> int:
        """Print a line for each daemon; 1 if one of them is not running."""
        return 0 if all([print_status(daemon, self.directories) for daemon in DAEMONS]) else 1

    def version(self) -> int:
        """Print the version of each daemon."""
        for daemon in DAEMONS:
            subprocess.run([daemon, "--version"])
        return 0

    def delete_transient_ports(self) -> int:
        """Delete the ports that should not outlive a restart."""
        names = output_of(["ovs-vsctl", "--bare", "--", "--columns=name", "find", "port",
                           "other_config:transient=true"])
        for port in names.split():
            subprocess.run(self.vsctl("--", "del-port", port))
        return 0

    def record_hostname(self) -> int:
        """Store the host's name in the database, unless one is there."""
        name = output_of(["hostname", "-f"]) if self.options["full-hostname"] else ""
        subprocess.run(self.vsctl("add", "Open_vSwitch", ".", "external-ids",
                                  f"hostname={_quote(name or os.uname().nodename)}"))
        return 0

    def enable_protocol(self) -> int:
        """Let a protocol in through iptables, unless a rule speaks of it already."""
        name = protocol = self.options["protocol"]
        number = _protocol_number(protocol)
        if number is None:
            say_failure(f"unknown protocol {protocol}")
            return 1
        insert = ["iptables", "-I", "INPUT", "-p", protocol]
        wanted = []
        for option, column, word in (("dport", "dpt:", "to"), ("sport", "spt:", "from")):
            if port := self.options[option]:
                name += f" {word} port {port}"
                wanted.append(f"{column}{port}")
                insert += [f"--{option}", port]
        try:
            listed = subprocess.run(["iptables", "-n", "-L", "INPUT"], capture_output=True,
                                    text=True)
        except OSError:
            say_success(f"iptables binary not installed, not adding a rule for {name}")
            return 0
        if listed.returncode:
            say_success(f"cannot list iptables rules, not adding a rule for {name}")
            return 0
        for line in listed.stdout.splitlines():
            words = line.split()
            if words[1:2] in ([protocol], [str(number)]) and all(w in words for w in wanted):
                say_success(f"iptables already has a rule for {name}, not explicitly enabling")
                return 0
        done = run_action(f"Enabling {name} with iptables", [*insert, "-j", "ACCEPT"])
        return 0 if done else 1

    def ipsec(self) -> int:
        """Say that IPsec is not there."""
        say_failure("ovs-monitor-ipsec is not part of this build")
        return 1


COMMANDS = {
    "start": Control.start,
    "stop": Control.stop,
    "restart": Control.restart,
    "status": Control.status,
    "version": Control.version,
    "load-kmod": Control.load_kmod,
    "force-reload-kmod": Control.force_reload_kmod,
    "enable-protocol": Control.enable_protocol,
    "delete-transient-ports": Control.delete_transient_ports,
    "record-hostname-if-not-set": Control.record_hostname,
    "start-ovs-ipsec": Control.ipsec,
    "stop-ovs-ipsec": Control.ipsec,
    "help": Control.help,
}


def main(argv: list[str]) -> int:
    """Run ovs-ctl with arguments `argv`; return the exit code."""
    os.environ["LC_ALL"] = "C"
    control = Control(sys.argv[0])
    code = control.parse(argv)
    if code is not None:
        return code
    if not control.command:
        control.complain("missing command name (use --help for help)")
        return 1
    if control.command not in COMMANDS:
        control.complain(f'unknown command "{control.command}" (use --help for help)')
        return 1
    control.directories.use_own_programs()
    try:
        return COMMANDS[control.command](control)
    except Failure:
        return 1


def _quote(text: str) -> str:
    """Return `text` as a string of the database's syntax."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _raise_limit(what: int, wanted: int) -> None:
    """Raise a resource limit to `wanted`, or as far as we may."""
    soft, hard = resource.getrlimit(what)
    for limits in ((wanted, max(wanted, hard) if hard != -1 else hard), (hard, hard)):
        try:
            resource.setrlimit(what, limits)
            return
        except (ValueError, OSError):
            continue


def _allow_files(count: int) -> None:
    """See to it that `count` files may be open, or as many as we may have."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count:
        _raise_limit(resource.RLIMIT_NOFILE, count)


def _protocol_number(name: str) -> int | None:
    try:
        lines = Path("/etc/protocols").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[:1] == [name] and words[1:2] and words[1].isdigit():
            return int(words[1])
    return None
