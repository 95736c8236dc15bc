"""The text of `ovs-ofctl --help`, for `help_parts.fill`."""

from utilities.help_parts import ACTIVE_METHODS, KEYS, LOGGING

_COMMANDS = """\
ovs-ofctl: OpenFlow switch management utility
usage: ovs-ofctl [OPTIONS] COMMAND [ARG...]

For OpenFlow switches:
  show SWITCH                 show OpenFlow information
  dump-desc SWITCH            print switch description
  dump-tables SWITCH          print table stats
  dump-table-features SWITCH  print table features
  dump-table-desc SWITCH      print table description (OF1.4+)
  mod-port SWITCH IFACE ACT   modify port behavior
  mod-table SWITCH MOD        modify flow table behavior
      OF1.1/1.2 MOD: controller, continue, drop
      OF1.4+ MOD: evict, noevict, vacancy:low,high, novacancy
  get-frags SWITCH            print fragment handling behavior
  set-frags SWITCH FRAG_MODE  set fragment handling behavior
      FRAG_MODE: normal, drop, reassemble, nx-match
  dump-ports SWITCH [PORT]    print port statistics
  dump-ports-desc SWITCH [PORT]  print port descriptions
  dump-flows SWITCH           print all flow entries
  dump-flows SWITCH FLOW      print matching FLOWs
  dump-aggregate SWITCH       print aggregate flow statistics
  dump-aggregate SWITCH FLOW  print aggregate stats for FLOWs
  queue-stats SWITCH [PORT [QUEUE]]  dump queue stats
  add-flow SWITCH FLOW        add flow described by FLOW
  add-flows SWITCH FILE       add flows from FILE
  mod-flows SWITCH FLOW       modify actions of matching FLOWs
  del-flows SWITCH [FLOW]     delete matching FLOWs
  replace-flows SWITCH FILE   replace flows with those in FILE
  diff-flows SOURCE1 SOURCE2  compare flows from two sources
  packet-out SWITCH IN_PORT ACTIONS PACKET...
                              execute ACTIONS on PACKET
  monitor SWITCH [MISSLEN] [invalid_ttl] [watch:[...]]
                              print packets received from SWITCH
  snoop SWITCH                snoop on SWITCH and its controller
  queue-get-config SWITCH [PORT]  print queue config for PORT
  add-group SWITCH GROUP      add a group
  add-groups SWITCH FILE      add the groups of FILE, or do what its lines say
  mod-group SWITCH GROUP      change a group, or add it too with --may-create
  del-groups SWITCH [GROUP]   delete GROUP, or all
  insert-buckets SWITCH GROUP, remove-buckets SWITCH GROUP
                              change single buckets of a group
  dump-groups SWITCH [GROUP]  print groups
  dump-group-stats SWITCH [GROUP]  print what groups have counted
  dump-group-features SWITCH  print what groups can be
  bundle SWITCH FILE          do what FILE says all at once, or nothing
  add-meter SWITCH METER      add a meter
  mod-meter SWITCH METER      change a meter
  del-meters SWITCH [METER]   delete METER, or all
  dump-meters SWITCH [METER]  print meters
  meter-stats SWITCH [METER]  print what meters have counted
  meter-features SWITCH       print what meters can be
  add-tlv-map SWITCH MAP      map tunnel options to fields
  del-tlv-map SWITCH [MAP]    take mappings away
  dump-tlv-map SWITCH         print mappings
  dump-ipfix-bridge SWITCH    print IPFIX statistics of the bridge
  dump-ipfix-flow SWITCH      print IPFIX statistics of flows
  ct-flush-zone SWITCH ZONE   forget the connections of a zone
  ct-flush SWITCH [zone=N] [TUPLE [REPLY-TUPLE]]
                              forget connections

For OpenFlow switches and controllers:
  probe TARGET                probe whether TARGET is up
  ping TARGET [N]             latency of N-byte echos
  benchmark TARGET N COUNT    bandwidth of COUNT N-byte echos
SWITCH or TARGET is an active OpenFlow connection method.

Without a switch:
  ofp-parse FILE              print the messages of FILE
  ofp-parse-pcap PCAP         print the messages in captured TCP streams

"""

_DAEMON = """
Daemon options:
  --detach                run in background as daemon
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: {rundir}/{program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running

OpenFlow version options:
  -V, --version           display version information
  -O, --protocols         set allowed OpenFlow versions
                          (default: {versions})
"""

_OTHER = """
Other options:
  --strict                    use strict match for flow commands
  --read-only                 do not execute read/write commands
  --readd                     replace flows that haven't changed
  -F, --flow-format=FORMAT    force particular flow format
  -P, --packet-in-format=FRMT force particular packet in format
  -m, --more                  be more verbose printing OpenFlow
  --timestamp                 (monitor, snoop) print timestamps
  -t, --timeout=SECS          give up after SECS seconds
  --sort[=field]              sort in ascending order
  --rsort[=field]             sort in descending order
  --names                     show port names instead of numbers
  --no-names                  show port numbers, but not names
  --unixctl=SOCKET            set control socket name
  -h, --help                  display this help message
  -V, --version               display version information
"""

TEXT = _COMMANDS + ACTIVE_METHODS + KEYS + _DAEMON + LOGGING + _OTHER
