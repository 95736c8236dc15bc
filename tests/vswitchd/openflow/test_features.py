"""The replies about tables that are kept are those that the codec makes anew."""

import pytest

from vswitchd.openflow import messages
from vswitchd.openflow.features import N_TABLES, encode_stats, encoded_reply, table_features
from vswitchd.openflow.messages.table import TableFeaturesReply, TableStats, TableStatsReply


@pytest.mark.parametrize("version", [4, 5, 6])
def test_the_quick_reply_is_that_of_the_codec(version):
    reply = TableFeaturesReply(tuple(table_features.__wrapped__(number, version)
                                     for number in range(N_TABLES)))
    assert encoded_reply(version) == tuple(messages.encode_parts(reply, version, 0))


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_quick_statistics_are_those_of_the_codec(version):
    counters = [(0, 0, 0)] * N_TABLES
    counters[0], counters[7] = (1, 2, 3), (0, 1 << 40, 0)
    counters[-1] = (0xffffffff, (1 << 64) - 1, 1)
    encoded = encode_stats(version, counters)
    if encoded is None:
        assert version in (2, 3)
        return
    reply = TableStatsReply(tuple(
        TableStats(number, *row, table_features(number, version, True) if version < 4 else None)
        for number, row in enumerate(counters)))
    assert encoded == messages.encode(reply, version, 0)
