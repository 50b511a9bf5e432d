"""From frameworks that keep channels first, (batch, channels, height, width), to a graph that keeps them last.

An importer calls one method of `ChannelsFirst` for each operator, with values and arrays as the framework sees them,
the batch of 1 included. What transposes, flattens or reshapes adds no node: a `Value` knows how its stored factors
stand to the framework's axes. Weights are put into the stored order instead; a ChannelShuffle or Transpose appears only
where an operator needs numbers in another order than they lie in.

    build = ChannelsFirst("net")
    x = build.input("image", (1, 3, 32, 32))                  # the graph's input has shape (32, 32, 3)
    x = build.conv("conv", x, weight, bias, stride=(2, 2), padding=((1, 1), (1, 1)))
    x = build.activation("relu", Relu(), x)                   # any operator on each number by itself
    x = build.reshape(x, (1, 16 * 16 * 8))                    # no node
    x = build.dense("fc", x, weight2, bias2)                  # columns (c, h, w) become (h, w, c)
    graph, weights = build.finish(x)

Layers: conv, conv_transpose, dense, radial_basis, batch_norm, prelu, layer_norm. Maps: max_pool, average_pool,
local_response_norm, resize, depth_to_space, space_to_depth, on_map (any other operator without weights). Axes: reshape,
transpose, concat, slice, split, pad, expand, reduce (mean, max, sum), softmax. Numbers: binary (add, subtract, multiply
of two values), scale (by constants: x * weight + bias), matmul, activation. What is not known: opaque.

`value.shape` is the framework's shape. `split` and other views can be outputs too. Whatever does not suit raises
ValueError with both numbers; the importer adds file and operator. Pooling in ceil mode is more padding after, which the
importer adds. A bias added after a layer without one becomes that layer's.
"""

from millijoule.load.channels_first.arrange import ChannelsFirst
from millijoule.load.channels_first.value import Value

__all__ = ["ChannelsFirst", "Value"]
