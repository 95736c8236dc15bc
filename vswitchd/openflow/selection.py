"""How a select group spreads packets over its buckets, in the words of the reference's debug log.

The library does it (`make_hash_map` of datapath/src/pipeline/group_stage.c); scripts read these
lines to see how evenly. Any thread.
"""

from collections.abc import Iterator

from vswitchd.openflow.messages.group import GroupDesc

_LEAST, _MOST = 16, 256         # slots of a map of hash values
_SYMMETRIC_L4 = 1


def describe_selection(group: GroupDesc) -> Iterator[str]:
    """The lines about a select group that is made or changed."""
    yield f"Constructing select group {group.group}"
    method = group.selection.method
    yield (f"Selection method specified: {method}." if method else
           "No selection method specified. Trying dp_hash.")
    if method == "hash":
        for name, _ in group.selection.fields:
            yield f"Hash fields: {name}"
        return
    slots = yield from _spread(group)
    if slots:
        algorithm = group.selection.parameter >> 32 if method else _SYMMETRIC_L4
        yield f"Use dp_hash with {slots} hash values using algorithm {algorithm}."
    else:
        yield "Falling back to default hash method."


def _spread(group: GroupDesc) -> Iterator[str]:
    """Lines about the map; returns how many slots it has, 0 for none."""
    weights = [bucket.weight for bucket in group.buckets]
    total = sum(weights)
    if not weights:
        yield "  Don't apply dp_hash method without buckets."
        return 0
    if not total:
        yield "  Total weight is zero. No active buckets."
        return 0
    least = min(filter(None, weights))
    yield f"  Minimum weight: {least}, total weight: {total}"
    slots = _LEAST
    while slots < -(-total // least):
        slots *= 2
    if slots > _MOST:
        yield f"  Too many hash values required: {slots}"
        return 0
    yield f"  Using {slots} hash values:"
    hits, divisors = [0] * len(weights), [1] * len(weights)
    for _ in range(slots):
        best = max(range(len(weights)), key=lambda row: weights[row] / divisors[row])
        hits[best] += 1
        divisors[best] += 2
    for bucket, count in zip(group.buckets, hits):
        yield (f"  Bucket {bucket.bucket_id}: weight={bucket.weight}, "
               f"target={bucket.weight * slots / total:.2f} hits={count}")
    return slots
