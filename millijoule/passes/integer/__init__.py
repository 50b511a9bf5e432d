"""Rewrites of an int8 model that leave every output byte as it is, whatever the input.

The passes over float networks change numbers a little and the quantizer settles them; here they are settled, so only
what is proven equal is rewritten.
"""

from __future__ import annotations

import numpy as np

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.model import Model
from millijoule.ops.opaque import check_known
from millijoule.passes.integer.bounds import Bounds, bounds
from millijoule.passes.integer.channels import Masks, needed_channels
from millijoule.passes.integer.identities import identities, without
from millijoule.passes.integer.narrow import narrow
from millijoule.passes.integer.padding import fold_pads
from millijoule.passes.integer.reduction import Reduction, RemovedChannel
from millijoule.passes.integer.shuffles import fold_shuffles
from millijoule.passes.integer.twins import twins

__all__ = ["Reduction", "RemovedChannel", "fold_pads", "fold_shuffles", "reduce"]


def reduce(model: Model) -> Reduction:
    """Remove what is proven not to matter: the outputs are equal, bit for bit, for every input.

    - channels that are the same number for every input: they go into the next layer's bias. A convolution that reads
      padding sees the zero point there, so for it the constant must be the zero point; else the channel stays.
    - channels that equal another channel: the next layer's weights are added up, where the sum fits.
    - channels that nothing reads any more, and so on backwards.
    - functions of one number that change none, and sums and products with a constant that changes nothing.
    - padding, where only convolutions read it: they pad for themselves.
    - channel shuffles, where the weights of a layer can be put into another order instead.

    Channels go through depthwise convolutions, pools, additions and concatenations; one that is needed on any path
    stays on all. Raises ModelError if the model is float or a node has no int8 form.
    """
    if not model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is float; constant channels are found in int8 models")
    check_known(model.graph)
    padded = fold_shuffles(fold_pads(model))
    bound = bounds(padded)
    returned = identities(padded, bound)
    smaller = without(padded, returned)
    same = twins(smaller)
    needed = needed_channels(smaller, bound, same)
    gone = {node.name: returned.get(node.name, "") for node in model.graph.nodes}
    gone = {name: why for name, why in gone.items() if name not in smaller.graph.by_name}
    return Reduction(model, narrow(smaller, bound, same, needed), _removed(smaller, bound, same, needed), gone)


def _removed(
    model: Model, bound: dict[str, Bounds], same: dict[str, np.ndarray], needed: Masks
) -> tuple[RemovedChannel, ...]:
    removed = []
    for node in model.graph.nodes:
        if not isinstance(node.op, ops.Conv2d | ops.Dense | ops.Add | ops.Multiply):
            continue
        value, proof = node.name, bound[node.name]
        for c in map(int, np.flatnonzero(~needed[value])):
            sums = None if proof.sums is None else (int(proof.sums[0][c]), int(proof.sums[1][c]))
            if proof.constant[c]:
                removed.append(RemovedChannel(value, c, "constant", int(proof.constants[c]), None, sums))
            elif same[value][c] != c:
                removed.append(RemovedChannel(value, c, "twin", None, int(same[value][c]), sums))
            else:
                removed.append(RemovedChannel(value, c, "unread", None, None, sums))
    return tuple(removed)
