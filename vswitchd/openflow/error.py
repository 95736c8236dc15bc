"""The one exception that OpenFlow codecs raise.

A decoder never raises anything else, whatever the bytes. The edge (connection, ovs-ofctl) turns it
into an OFPT_ERROR reply and into the log lines it carries. Any thread.
"""


class OpenFlowError(Exception):
    """A message or a part of one that cannot be accepted.

    name: row of schema.openflow.errors, such as 'OFPBAC_BAD_TYPE'.
    reason: one sentence for the log, '' if there is nothing to say.
    module: log module under which the reason is said.
    offset: byte offset of the offending action or TLV in what was decoded, else 0.
    log: everything the reference logs at WARN on the way, as (module, text), in order.
    """

    def __init__(self, name: str, reason: str = "", module: str = "ofp_msgs",
                 offset: int = 0, log: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{name}: {reason}" if reason else name)
        self.name = name
        self.reason = reason
        self.module = module
        self.offset = offset
        self.log = log
