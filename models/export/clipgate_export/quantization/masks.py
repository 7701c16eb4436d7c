"""The range of attention scores behind a mask: of what is masked it needs to hold only that it counts for nothing.

An exported mask adds -100 or less. Eight bits that reach so far leave the scores steps of 0.4, by which a share of
the attention changes by half. What softmax makes of a masked score needs no more than to vanish when it is rounded.
"""

import math

import numpy as np

from .index import Index
from .qdq import Ranges
from .store import Store

# So far below the others a constant is a mask and no learned bias.
FAR_BELOW = 50.0
LEVELS = 256


def bounded(store: Store, ranges: Ranges) -> Ranges:
    """`ranges` with those of masked scores cut off where all masked ones together make less than half a step.

    Softmax's result has steps of 1 / 256. Of T scores at most T are masked; each stays `ln(2 * 256 * T)` below the
    lowest of the others, so that together they make at most 1 / 512 of what any other makes.
    """
    index, found = Index(store.light), dict(ranges)
    for node in store.light.graph.node:
        addition = index.producer.get(node.input[0]) if node.op_type == "Softmax" else None
        if addition is None or addition.op_type != "Add":
            continue
        for scores, mask in (addition.input, addition.input[::-1]):
            if mask not in index.tensors or scores not in ranges:
                continue
            values = store.weight(mask)
            masked = values < values.max() - FAR_BELOW
            if not masked.any():
                continue
            margin = math.log(2 * LEVELS * index.shapes[node.input[0]][-1])
            lowest = ranges[scores][0] + float(np.min(values[~masked])) - margin
            low, high = found[addition.output[0]]
            found[addition.output[0]] = (max(low, lowest), high)
    return found
