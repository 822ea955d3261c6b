"""Calls on a card: what the processor gives, the same bits every time, in every way of keeping."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conformance_exactness import F32, ROUNDING
from kept_surveys import KeptSurvey
from test_cuda_calls import gradients, moved
from test_cuda_codecs import SHAPE, SMOOTH, slots, waves
from waves import quiet, relative

from wavepipe.propagators import Storage
from wavepipe.propagators.backends import cuda_device, cuda_execution
from wavepipe.propagators.backends.cuda_device import CudaModule, card_of
from wavepipe.propagators.backends.emit_cuda import Tile
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.storage.card_codecs import on_card
from wavepipe.propagators.storage.codecs import codec_named

pytestmark = pytest.mark.gpu

CARD = torch.device("cuda:0")


def found(physics: str, ndim: int, place: torch.device, storage: Storage) -> list[torch.Tensor]:
    survey = moved(KeptSurvey(physics, ndim, "z0", dtype=F32), place)
    return fetched(there(survey, storage))


def there(survey: KeptSurvey, storage: Storage) -> list[torch.Tensor]:
    """Where the survey is: nothing waits for it."""
    results, info = gradients(survey, storage, backend="auto")
    assert info.backend == ("cuda" if results[0].is_cuda else "c")
    return results


def fetched(results: list[torch.Tensor]) -> list[torch.Tensor]:
    return [one.detach().cpu() for one in results]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("physics", PARAMETERS)
def test_a_card_gives_what_the_processor_gives(physics, ndim):
    """To the rounding of single precision; and the same bits again."""
    storage = Storage("device", "snapshots", stride=3)
    ours, again = (found(physics, ndim, CARD, storage) for _ in range(2))
    theirs = found(physics, ndim, torch.device("cpu"), storage)
    for one, same, expected in zip(ours, again, theirs, strict=True):
        assert torch.equal(one, same)
        assert relative(one, expected) < 5 * ROUNDING[F32]


@pytest.mark.parametrize("mode", ["device", "cpu", "disk"])
@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_no_way_of_keeping_changes_a_bit(mode, method, tmp_path):
    """In its memory, in the computer's, on disk."""
    path = tmp_path if mode == "disk" else None
    expected = found("scalar", 3, CARD, Storage("device", "snapshots", stride=3))
    ours = found("scalar", 3, CARD, Storage(mode, method, stride=3, path=path))
    for one, same in zip(ours, expected, strict=True):
        assert torch.equal(one, same)


@pytest.mark.parametrize("ndim", [2, 3])
def test_no_tile_changes_a_bit(ndim, monkeypatch):
    """However the work is cut: so a tuner may choose."""
    storage = Storage("device", "snapshots", stride=3)
    expected = found("scalar", ndim, CARD, storage)
    for tile in (Tile(1, 64), Tile(2, 128, across=8), Tile(4, 128, across=16)):
        monkeypatch.setattr(cuda_device, "tiles", lambda *_, tile=tile: (tile,))
        for one, same in zip(found("scalar", ndim, CARD, storage), expected, strict=True):
            assert torch.equal(one, same), tile


@pytest.mark.parametrize("codec", ["float16", "bfloat16", "block8"])
def test_a_codec_writes_the_bytes_of_the_processor(codec):
    """Of values that also are tiny, and of which some are not finite."""
    values, there = slots(F32), on_card(codec_named(codec), card_of(CARD), F32)
    bytes_there = torch.zeros(3, there.size(SHAPE), dtype=torch.uint8, device=CARD)
    there.encode(values.to(CARD), bytes_there)
    for shot, encoded in enumerate(bytes_there.cpu()):
        expected = torch.empty(len(encoded), dtype=torch.uint8)
        codec_named(codec).encode(values[shot : shot + 1].numpy(), expected.numpy())
        assert torch.equal(encoded, expected)


@pytest.mark.parametrize("ndim", [2, 3])
def test_cosine_codecs_keep_their_bound(ndim):
    """And the CPU reads what the card has written."""
    codec, values = codec_named("cosine4"), waves(ndim, F32)
    there = on_card(codec, card_of(CARD), F32)
    encoded = torch.empty(2, there.size(SMOOTH[ndim]), dtype=torch.uint8, device=CARD)
    back = torch.empty_like(values, device=CARD)
    there.encode(values.to(CARD), encoded)
    there.decode(encoded, back)
    for shot in (0, 1):
        one = values[shot : shot + 1]
        read = torch.empty_like(one)
        codec.decode(encoded[shot].cpu().numpy(), read.numpy())
        limit = codec.bound(one.numpy())
        assert float((back[shot].cpu() - one[0]).abs().max()) <= limit
        assert float((back[shot].cpu() - read[0]).abs().max()) < 1e-6 * float(one.abs().max())


def test_calls_on_several_streams_do_not_disturb_each_other(monkeypatch):
    """A thread each, at the same time, with copies beside; more graphs than torch has streams."""
    monkeypatch.setattr(cuda_execution, "BLOCK", 4)
    graphs, recorded = [], CudaModule.recorded

    def counted(self, block):
        graphs.append(1)
        return recorded(self, block)

    monkeypatch.setattr(CudaModule, "recorded", counted)
    n_threads, n_calls = 4, 6
    ways = [Storage("device", "snapshots", stride=3), Storage("cpu", "snapshots", stride=3)]
    expected = found("scalar", 2, CARD, ways[0])
    graphs.clear()
    surveys = [moved(KeptSurvey("scalar", 2, "z0", dtype=F32), CARD) for _ in range(n_threads)]
    begin = threading.Barrier(n_threads)
    torch.cuda.synchronize(CARD)

    def calls(survey: KeptSurvey) -> list[list[torch.Tensor]]:
        with torch.cuda.stream(torch.cuda.Stream(CARD)):
            begin.wait(60)
            return [there(survey, ways[call % 2]) for call in range(n_calls)]

    with quiet(), ThreadPoolExecutor(n_threads) as threads:
        results = [one for some in threads.map(calls, surveys) for one in some]
    torch.cuda.synchronize(CARD)
    assert len(graphs) > 32
    assert len(results) == n_threads * n_calls
    for ours in results:
        for one, same in zip(fetched(ours), expected, strict=True):
            assert torch.equal(one, same)
