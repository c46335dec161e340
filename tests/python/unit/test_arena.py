"""Blocks of registered memory: used again, found by address, given back by finalizers."""

import gc

import numpy as np
import pytest

import luna_client
from luna_client.planes.arena import SMALLEST_BLOCK, STEP, Arena, block_size


class Daemon:
    """What the arena asks of it."""

    def __init__(self):
        self.regions = {}

    def register(self, fd, size):
        self.regions[f"r-{len(self.regions)}"] = size
        return f"r-{len(self.regions) - 1}"

    def release(self, ids):
        for id in ids:
            del self.regions[id]


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def arena(daemon):
    return Arena(daemon.register, daemon.release, max_bytes=4 << 20)


def test_blocks_double_up_to_sixteen_mebibytes_and_grow_by_steps_from_there():
    assert block_size(1) == SMALLEST_BLOCK
    assert block_size(SMALLEST_BLOCK + 1) == 2 * SMALLEST_BLOCK
    assert block_size(STEP) == STEP
    assert block_size(STEP + 1) == 2 * STEP
    assert block_size(2 * STEP + 1) == 3 * STEP


def test_a_block_that_came_back_is_used_again_without_another_registration(arena, daemon):
    first = arena.take(1000)
    arena.give_back(first)
    assert arena.take(2000) is first
    assert len(daemon.regions) == 1


def test_a_large_block_is_not_spent_on_a_small_tensor(arena):
    large = arena.take(1 << 20)
    arena.give_back(large)
    assert arena.take(1000) is not large


def test_two_tensors_under_way_never_share_a_block(arena):
    assert arena.take(1000) is not arena.take(1000)


def test_bytes_inside_a_block_have_a_region_and_an_offset(arena):
    block = arena.take(1000)
    assert arena.find(block.memory.address + 64, 100) == (block.region_id, 64)
    assert arena.find(block.memory.address, block.memory.size + 1) is None
    assert arena.find(block.memory.address - 1, 1) is None
    assert arena.find(1, 1) is None


def test_an_array_over_lent_memory_brings_its_block_back_with_its_last_view(arena, daemon):
    array = np.frombuffer(arena.lend(4000), np.float32)
    view = array[10:20]
    del array
    gc.collect()
    arena.take(4000)
    assert len(daemon.regions) == 2, "the view still lies in the first block"
    del view
    gc.collect()
    arena.take(4000)
    assert len(daemon.regions) == 2


def test_idle_blocks_make_room_for_others(arena, daemon):
    blocks = [arena.take(1 << 20) for _ in range(4)]
    for block in blocks:
        arena.give_back(block)
    arena.take(2 << 20)
    assert sum(daemon.regions.values()) <= 4 << 20
    assert arena.find(blocks[0].memory.address, 1) is None


def test_what_does_not_fit_beside_blocks_in_use_is_refused_with_figures(arena):
    held = [arena.take(1 << 20) for _ in range(4)]
    with pytest.raises(luna_client.ResourceExhausted, match="are in use"):
        arena.take(1000)
    assert len(held) == 4


def test_a_refused_registration_leaves_no_bytes_counted(arena, daemon):
    def refuse(fd, size):
        raise luna_client.ResourceExhausted("the session has 1024 regions")

    broken = Arena(refuse, daemon.release, max_bytes=SMALLEST_BLOCK)
    for _ in range(3):
        with pytest.raises(luna_client.ResourceExhausted, match="1024 regions"):
            broken.take(1)
