"""The planner: runs of layers, the grain and order in which each is streamed, and addresses for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.plan.lifetimes import lifetimes
from millijoule.plan.placement import most_live
from millijoule.plan.streaming.layout.addresses import NO_LIMIT, TRIES, lay_out
from millijoule.plan.streaming.layout.faster import with_faster_kernels
from millijoule.plan.streaming.layout.timeline import Key, Timeline, timeline
from millijoule.plan.streaming.network.kernels import with_kernels
from millijoule.plan.streaming.network.rows import Grain, rows
from millijoule.plan.streaming.plan import Memories, RowBuffer, StreamPlan
from millijoule.plan.streaming.search.bound import floor_bytes
from millijoule.plan.streaming.search.needs import Needs, Segment
from millijoule.plan.streaming.search.schedule import Network
from millijoule.plan.streaming.search.segments import Cutter, refined, segments_used, streamed_steps
from millijoule.target import CONTRACTS, SCALAR, Target

MORE = (1, 1.03, 1.1, 1.25)
"""How much more than the least the segments of cuts may need that are tried where the best has no placement."""
COSTS = (segments_used, streamed_steps)


def stream_plan(
    model: Model | Graph,
    input: str = "overwrite",
    *,
    target: Target = SCALAR,
    alignment: int = 1,
    grain: Grain = "pixel",
    tries: int = TRIES,
) -> StreamPlan:
    """The plan that needs least RAM when any run of layers may be streamed through rings.

    A run is streamed row by row, or pixel by pixel where that needs less: between two layers, then only a few pixels
    are kept beyond the rows that are still read, but kernels compute one pixel at a time.

    Nothing is computed twice. Segments are cut so that the largest needs least, for the order of firing that is used:
    the deepest step that can fire, does. Addresses are then searched for all memory at once; of several cuts the one
    whose arena is smallest is taken.

    input: `overwrite`: the input lies in the arena and its rows may be overwritten once they are read; `keep`: it lies
    there and stays; `push`: its rows arrive one at a time, and there is no frame buffer; `read`: it lies outside of the
    arena, where it can be read. target: what the kernels are chosen for; of an int8 model, the working memory that they
    need is planned too: as little as there are kernels for, and more where the arena has room. alignment: of every
    buffer.
    grain: `row` leaves pixels out. tries: orders in which addresses are given, for each way to cut; fewer are quicker,
    more may need less. Raises OptionError for any other `input`; ModelError if a node of an int8 model has
    no kernel.
    """
    network = network_of(model, input, target)
    return with_faster_kernels(model, network.rows, smallest(model, Needs(network), alignment, grain, tries))


def frontier(
    model: Model | Graph,
    input: str = "overwrite",
    *,
    target: Target = SCALAR,
    alignment: int = 1,
    points: int = 8,
    grain: Grain = "pixel",
) -> tuple[StreamPlan, ...]:
    """Plans from the least RAM to every layer by itself: first one with pixels, if that needs less than rows alone.

    Each has more RAM and streams fewer steps than the one before, or as many without pixels. grain: `row` leaves
    pixels out.
    """
    network = network_of(model, input, target)
    needs = Needs(network)
    cutter = Cutter(needs, "moments")
    found = [smallest(model, needs, alignment, "row")]
    if grain == "pixel":
        finest = smallest(model, needs, alignment, "pixel")
        if finest.arena_bytes < found[0].arena_bytes:
            found.insert(0, finest)
    least, most = cutter.least, max(segment.bytes for segment in cutter.stored)
    for point in range(points + 1):
        limit = round(least * (most / least) ** (point / points))
        planned = assemble(model, network, cutter.within(limit, streamed_steps), alignment)
        if planned.streamed_steps < found[-1].streamed_steps and planned.arena_bytes > found[-1].arena_bytes:
            found.append(planned)
    return tuple(with_faster_kernels(model, network.rows, each) for each in found)


def smallest(model: Model | Graph, needs: Needs, alignment: int, grain: Grain, tries: int = TRIES) -> StreamPlan:
    """The best of some ways to cut: each suits the search for addresses where the others do not."""
    few, short, fine = Cutter(needs, "moments"), Cutter(needs, "kinds"), Cutter(needs, "pixels")
    cuts = [few.within(few.least, streamed_steps), short.within(short.least, segments_used)]
    if grain == "pixel":
        finest = fine.within(fine.least, segments_used)
        cuts += [refined(needs, finest, "moments"), refined(needs, finest, "kinds")]
    tried = _different(cuts)
    best = _best(model, needs.network, tried.values(), alignment, tries)
    if best.arena_bytes == best.lower_bound_bytes:
        return best
    # What needs a little more at one time may have addresses that fit better.
    cuts = [each.within(round(each.least * more), cost) for each in (few, short) for more in MORE for cost in COSTS]
    if grain == "pixel":
        finer = [fine.within(round(fine.least * more), cost) for more in MORE for cost in COSTS]
        cuts += [refined(needs, cut, measure) for cut in finer for measure in ("moments", "kinds")]
    others = [cut for key, cut in _different(cuts).items() if key not in tried]
    return _best(model, needs.network, others, alignment, tries, best)


def _different(cuts: Sequence[Sequence[Segment]]) -> dict[object, Sequence[Segment]]:
    return {tuple((each.first, each.stop, each.grain, each.policy) for each in cut): cut for cut in cuts}


def _best(
    model: Model | Graph,
    network: Network,
    cuts: Iterable[Sequence[Segment]],
    alignment: int,
    tries: int,
    best: StreamPlan | None = None,
) -> StreamPlan:
    """The plan with the smallest arena, of these cuts and `best`; first those that need least at one time, so that no
    time is spent on others that cannot need less."""
    found = None
    for cut in sorted(cuts, key=_least):
        if best is None or _least(cut) < _size(best):
            happens = timeline(network, cut, alignment)
            planned = build(model, network, cut, happens, None, best.arena_bytes if best else NO_LIMIT, tries)
            if best is None or _size(planned) < _size(best):
                best, found = planned, (cut, happens)
    assert best is not None
    if found and best.arena_bytes > best.lower_bound_bytes:
        best = min(best, build(model, network, *found, tries=8 * tries), key=_size)
    return best


def _least(segments: Sequence[Segment]) -> tuple[int, int, int]:
    """What `_size` of no plan of these segments is below, if all lines are copied that may have to be."""
    most = max((segment.moments for segment in segments), default=0)
    pixels = sum(segment.stop - segment.first for segment in segments if segment.grain == "pixel")
    lengths = [segment.stop - segment.first for segment in segments]
    return most, pixels, sum(length for length in lengths if length > 1)


def _size(planned: StreamPlan) -> tuple[int, int, int]:
    """By what plans are compared: of equal arenas, that with the fewest calls of kernels."""
    return planned.arena_bytes, planned.pixel_steps, planned.streamed_steps


def network_of(model: Model | Graph, input: str, target: Target) -> Network:
    """A network as rows and as pixels, with the working memory of its kernels."""
    graph = model.graph if isinstance(model, Model) else model
    found, pixels = rows(graph), rows(graph, "pixel")
    if isinstance(model, Model) and model.is_int8:
        by_row = replace(target, by_row=True, frugal=True)
        found, pixels = (
            with_kernels(model, each, {step.name: by_row for step in each.steps}, input) for each in (found, pixels)
        )
    if input == "read":
        # It takes nothing of the arena.
        found, pixels = (replace(each, bytes=each.bytes | dict.fromkeys(each.inputs, 0)) for each in (found, pixels))
    for contract in CONTRACTS:
        if contract == input:
            return Network(found, contract, pixels)
    raise OptionError(f"input is {input!r}; it must be one of {', '.join(map(repr, CONTRACTS))}")


def assemble(model: Model | Graph, network: Network, segments: Sequence[Segment], alignment: int) -> StreamPlan:
    """The plan that executes these segments one after the other, with addresses for all that they need."""
    return build(model, network, segments, timeline(network, segments, alignment))


def build(
    model: Model | Graph,
    network: Network,
    segments: Sequence[Segment],
    happens: Timeline,
    spilled: frozenset[Key] | None = None,
    limit: int = NO_LIMIT,
    tries: int = TRIES,
) -> StreamPlan:
    """The plan of what happens. spilled: what lies in the slow one of two memories, after the fast one. limit: bytes of
    an arena above which it is of no use. tries: orders of placing that are tried."""
    graph = model.graph if isinstance(model, Model) else model
    slow_keys = spilled or frozenset()
    fast_items = {key: item for key, item in happens.items.items() if key not in slow_keys}
    slow_items = {key: happens.items[key] for key in happens.items if key in slow_keys}
    layout, slow = lay_out(list(fast_items.values()), tries, limit), lay_out(list(slow_items.values()))
    offsets = dict(zip(fast_items, layout.offsets, strict=True))
    offsets |= {key: layout.total + at for key, at in zip(slow_items, slow.offsets, strict=True)}
    memories = None if spilled is None else Memories(layout.total, slow.total, 0)
    buffers = []
    for key in (*happens.items, *happens.shared):
        kind, value = key
        pieces = happens.pieces[key]
        first, last = min(piece.first for piece in pieces), max(piece.last for piece in pieces)
        count, size = happens.sizes[key]
        begin, pitch, within = happens.inside.get(key, (0, 0, ""))
        offset = begin + offsets[happens.shared.get(key, key)]
        buffers.append(RowBuffer(kind, value, count, size, first, last, offset, pieces, pitch, within))
    names = network.rows
    return StreamPlan(
        model=graph.name,
        input=network.contract,
        segments=tuple(tuple(step.name for step in names.steps[each.first : each.stop]) for each in segments),
        grains=tuple(each.grain for each in segments),
        buffers=tuple(buffers),
        actions=tuple(happens.actions),
        arena_bytes=layout.total + slow.total,
        lower_bound_bytes=layout.lower_bound + slow.lower_bound,
        floor_bytes=floor_bytes(network),
        stored_bytes=most_live([(memory.first, memory.last, memory.bytes) for memory in lifetimes(graph)]),
        targets={step.name: step.target for step in names.steps},
        memories=memories,
    )
