"""What ovsdb-client --help prints."""

from utilities.command_line import default_remote, log_directory, write_text

_HELP = """\
ovsdb-client: Open vSwitch database JSON-RPC client
usage: ovsdb-client [OPTIONS] COMMAND [ARG...]

Commands:
  list-dbs [SERVER]                         list the databases of SERVER
  get-schema [SERVER] [DATABASE]            print the schema
  get-schema-version [SERVER] [DATABASE]    print the schema's version
  get-schema-cksum [SERVER] [DATABASE]      print the schema's checksum
  list-tables [SERVER] [DATABASE]           list the tables
  list-columns [SERVER] [DATABASE] [TABLE]  list the columns and their types
  transact [SERVER] TRANSACTION             run TRANSACTION, print its results
  query [SERVER] TRANSACTION                the same, but change nothing
  dump [SERVER] [DATABASE] [TABLE [COLUMN...]]
                                            print the contents
  monitor [SERVER] [DATABASE] TABLE [COLUMN,...]...
  monitor [SERVER] [DATABASE] ALL           print contents and changes;
                                            COLUMN may be !initial, !insert,
                                            !delete or !modify
  monitor-cond [SERVER] [DATABASE] CONDITION TABLE [COLUMN,...]...
                                            the same of rows that match
  monitor-cond-since [SERVER] [DATABASE] [LASTID] CONDITION TABLE [COLUMN,...]...
                                            the same since transaction LASTID
  wait [SERVER] DATABASE STATE              wait until DATABASE is "added",
                                            "connected" or "removed"
  backup [SERVER] [DATABASE] > SNAPSHOT     print the contents as a database file
  [--force] restore [SERVER] [DATABASE] < SNAPSHOT
                                            replace the contents by SNAPSHOT
  convert [SERVER] SCHEMA                   convert the database to SCHEMA
  needs-conversion [SERVER] SCHEMA          print whether that would change it
  lock [SERVER] LOCK, steal [SERVER] LOCK, unlock [SERVER] LOCK

The default SERVER is {remote}.
The default DATABASE is Open_vSwitch.
SERVER is tcp:HOST:PORT, ssl:HOST:PORT, unix:FILE, ptcp:PORT[:IP], pssl:PORT[:IP] or punix:FILE,
or several of the first three separated by commas.

Output formatting options:
  -f, --format=FORMAT         "table", "list", "html", "csv" or "json"
  -d, --data=FORMAT           cells as "string", "bare" or "json"
  --no-headings, --pretty, --bare, --max-column-width=N
  --timestamp                 print times when watching
Daemon options:
  --detach, --no-chdir, --pidfile[=FILE], --overwrite-pidfile, --monitor, --user=USER[:GROUP]
  --unixctl=SOCKET            control socket, instead of the one in the run directory
Logging options:
  -vSPEC, --verbose=SPEC, --log-file[=FILE] (default: {log}/ovsdb-client.log)
  --syslog-method=(libc|unix:file|udp:ip:port|null), --syslog-target=HOST:PORT
SSL/TLS options:
  -p, --private-key=FILE  -c, --certificate=FILE  -C, --ca-cert=FILE
  --bootstrap-ca-cert=FILE  --ssl-protocols=PROTOS  --ssl-ciphers=CIPHERS
Other options:
  -t, --timeout=SECS          give up after SECS seconds
  --no-leader-only            accept any member of a cluster
  -h, --help                  print this
  -V, --version               print the version
"""


def print_help(session=None, arguments: list[str] = ()) -> None:
    """Print the help text; also the command "help"."""
    write_text(_HELP.format(remote=default_remote(), log=log_directory()))
