import random

import pytest

from millijoule.plan.streaming.layout.addresses import Item, Piece, _Placer, lay_out, most_taken


def items_of(seed: int) -> list[Item]:
    """Items of a long run: each meets the few that live when it does."""
    generator = random.Random(seed)
    items = []
    for number in range(40):
        first = 4 * number + generator.randrange(4)
        sizes = [generator.randrange(1, 9) for _ in range(generator.randrange(1, 4))]
        pieces = [
            Piece(first + part, first + part + generator.randrange(1, 30), sum(sizes[:part]), size)
            for part, size in enumerate(sizes)
        ]
        items.append(Item(tuple(pieces), generator.choice((1, 1, 4))))
    return items


@pytest.mark.parametrize("seed", range(5))
def test_what_did_not_change_around_an_item_leaves_it_where_it_was(seed):
    generator, placer = random.Random(seed), _Placer(items_of(seed))
    before = placer.place(range(40))
    for _ in range(100):
        order, start, moved = list(before.order), 40, []
        for item in generator.sample(order, 2):
            at, to = order.index(item), generator.randrange(40)
            order.pop(at)
            order.insert(to, item)
            start = min(start, at, to)
            moved.append((item, order[min(at, to) : max(at, to) + 1]))
        found = placer.place(order, before=before, start=start, moved=moved)
        assert found == placer.place(order)
        before = found


@pytest.mark.parametrize("seed", range(5))
def test_no_two_pieces_are_in_one_place_at_one_time(seed):
    items = items_of(seed)
    layout = lay_out(items)
    assert most_taken(items) == layout.lower_bound <= layout.total
    taken = set()
    for item, offset in zip(items, layout.offsets, strict=True):
        assert offset % item.alignment == 0
        own = set()
        for piece in item.pieces:
            begin = offset + piece.offset
            assert begin >= 0
            assert begin + piece.bytes <= layout.total
            own |= {(t, at) for t in range(piece.first, piece.last + 1) for at in range(begin, begin + piece.bytes)}
        assert not taken & own
        taken |= own


def test_an_order_that_needs_more_than_the_limit_is_given_up():
    placer = _Placer([Item((Piece(0, 1, 0, 4),)), Item((Piece(1, 2, 0, 4),))])
    assert placer.place((0, 1)).total == 8
    assert placer.place((0, 1), limit=7) is None
