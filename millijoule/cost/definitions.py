"""What every figure of a cost means: the words that `millijoule cost --define` prints."""

from __future__ import annotations

from difflib import get_close_matches

from millijoule.errors import OptionError

DEFINITIONS = {
    "params": "Parameters: numbers that gradient descent sets, weights and biases, as papers and PyTorch count them. "
    "Running statistics are not, nor are constants that the architecture fixes. Unit: numbers.",
    "statistics": "Running means and variances of batch-norm: not trained; Keras counts them as parameters.",
    "macs": "Multiply-accumulates of convolutions, dense layers and matrix products: one multiply and one add each. "
    "Those that meet padding are counted, as papers do. Bias additions are not MACs.",
    "flops": "Floating-point operations of the MACs: 2 x MACs. Many papers and tools print MACs and call them FLOPs.",
    "additions": "Additions of biases, one for each output of a layer that has them.",
    "operations": "Arithmetic that is not MACs, one each: comparisons, additions, table look-ups, exponentials. "
    "Batch-norm counts 2 per number, a pool one for each number of its windows.",
    "operations_by_kind": "The other operations by kind: normalisation (batch-norm and the like), activation, pooling, "
    "element-wise, other.",
    "connections": "LeCun's word (1998): MACs + bias additions.",
    "neurons": "Krizhevsky's word (2012): outputs of all layers that have MACs; the input is not counted, nor is "
    "pooling.",
    "size_bytes": "All arrays of numbers, constants included, at 4 bytes a number (an int8 model: 1, biases 4). "
    "1 MB = 1,000,000 bytes, 1 MiB = 1,048,576.",
    "size_bytes_by_precision": "All arrays at float32 (4 bytes a number), float16 (2), int8 (1; biases 4, as they are "
    "added to int32 sums).",
    "activations": "Numbers that layers compute, the input included; a reshape computes none.",
    "activation_bytes": "All those numbers together, in bytes. Not the memory that is needed: most are freed early.",
    "peak_ram_bytes": "The most that is live at once, layer by layer: inputs and output of the running layer, and "
    "every value that a later one reads; nothing in place. Weights are not included.",
    "peak_layer": "The layer during which peak_ram_bytes are live.",
    "eager_peak_bytes": "The most that PyTorch's tensors hold at once in eager inference, float32, without weights. "
    "A value is freed after its last reader; the network's input, and what a block reads from outside, when the call "
    "returns. Each layer allocates its output; ReLU and the like work in place where the definition asks for it; a "
    "max-pool also makes int64 indices; local response normalisation has two temporaries. Working memory inside a "
    "library's kernels is not included.",
    "eager_peak_layer": "The layer during which eager_peak_bytes are live.",
    "in_place_peak_bytes": "The most that is live at once in the network as it is deployed: batch-norm folded, "
    "activations fused, element-wise results written over an input that dies.",
    "in_place_peak_layer": "The layer during which in_place_peak_bytes are live.",
    "arena_bytes": "The one block of memory that holds every value at the planned addresses (`millijoule plan`), "
    "int8, of the network as it is deployed; counted on request (`millijoule cost --arena`).",
    "arena_layer": "The layer during which most of the planned arena is live.",
    "moved_bytes": "Bytes that layers read (inputs and arrays) and write (outputs), each once; a reshape moves none. "
    "Caches and tiling are not modelled.",
    "intensity": "Arithmetic intensity: FLOPs / bytes moved.",
    "receptive_field": "Rows x columns of the network's input that one position of the output depends on, padding "
    "included; a dash where the input is no map.",
    "stride": "Rows and columns of the network's input between neighbouring positions of the output.",
    "params_by_family": "Parameters in convolutions, in dense (fully connected) layers, and in others.",
    "macs_by_family": "MACs in convolutions, in dense (fully connected) layers, and in others.",
    "not_counted": "Layers whose operator is not known, each with its tool's name for the operator. Their work is "
    "missing from every total, which is then a lower bound.",
    "read_bytes": "Bytes of a layer's inputs and arrays.",
    "written_bytes": "Bytes of a layer's output.",
    "live_bytes": "Bytes that are live while the layer runs, by the rule of peak_ram_bytes.",
    "eager_live_bytes": "Bytes that are live while the layer runs, by the rule of eager_peak_bytes.",
    "latency_ms": "Milliseconds of one inference on a device: not predicted here; its column is left free.",
    "energy_uj": "Microjoules of one inference on a device: not predicted here; its column is left free.",
}
"""Field of Cost or LayerCost → what it means, its unit, how it is counted."""


def define(name: str) -> str:
    """The definition of a figure. Raises OptionError, with the nearest names, if there is none."""
    if name not in DEFINITIONS:
        near = get_close_matches(name, DEFINITIONS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise OptionError(f"'{name}' has no definition; {hint}known are {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]
