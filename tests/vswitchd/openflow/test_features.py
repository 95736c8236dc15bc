"""The table features reply that is made of one table's is the one that the codec makes of all."""

import pytest

from vswitchd.openflow import messages
from vswitchd.openflow.features import N_TABLES, encoded_reply, table_features
from vswitchd.openflow.messages.table import TableFeaturesReply


@pytest.mark.parametrize("version", [4, 5, 6])
def test_the_quick_reply_is_that_of_the_codec(version):
    reply = TableFeaturesReply(tuple(table_features.__wrapped__(number, version)
                                     for number in range(N_TABLES)))
    assert encoded_reply(version) == tuple(messages.encode_parts(reply, version, 0))
