"""Wavefields kept for a card: there, in the computer's memory or on disk, whole or encoded."""

import threading

import numpy as np
import pytest
import torch
from card import a_card
from conformance_exactness import F64, ROUNDING
from emulated_cuda import EmulatedCard, find_compiler
from kept_surveys import KeptSurvey
from test_cuda_calls import gradients, moved
from waves import relative

from wavepipe.propagators import Storage
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage import ways
from wavepipe.propagators.storage.shuttle import Shuttle

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")

NT, STRIDE = 40, 3

HOST = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Of one slot: every buffer is used several times, and odd windows begin with odd steps."""
    monkeypatch.setattr(ways, "_WINDOW_BYTES", 1)
    monkeypatch.setattr(ways, "_WINDOW_STEPS", 1)
    monkeypatch.setattr(ways, "_RECORD_BYTES", 1)


def on_card(mode, method, codec="none", path=None, **options):
    storage = Storage(mode, method, compression=codec, stride=STRIDE, path=path, **options)
    survey = KeptSurvey("scalar", 2, "z0", nt=NT)
    with a_card() as card:
        found, info = gradients(moved(survey, card), storage, backend="cuda")
        assert (info.mode, info.method, info.compression) == (mode, method, codec)
        return [one.detach().cpu() for one in found]


@pytest.fixture(scope="module")
def expected():
    """On the CPU, in memory."""
    survey = KeptSurvey("scalar", 2, "z0", nt=NT)
    return gradients(survey, Storage("device", "snapshots", stride=STRIDE))[0]


@pytest.fixture(scope="module")
def in_its_memory():
    return on_card("device", "snapshots")


def folder(mode, tmp_path):
    return tmp_path if mode == "disk" else None


@pytest.mark.parametrize("mode", ["device", "cpu", "disk"])
@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_uncompressed_the_bits_are_those_of_its_memory(
    mode, method, tmp_path, in_its_memory, expected
):
    """Wherever it is kept; and the CPU's up to rounding."""
    found = on_card(mode, method, path=folder(mode, tmp_path))
    for ours, same, theirs in zip(found, in_its_memory, expected, strict=True):
        assert torch.equal(ours, same)
        assert relative(ours, theirs.detach()) < ROUNDING[F64]


@pytest.mark.parametrize("mode", ["device", "cpu", "disk"])
def test_steps_may_be_taken_back(mode, tmp_path, expected):
    """With strips and the layers' sums anywhere."""
    found = on_card(mode, "boundary", path=folder(mode, tmp_path))
    for ours, theirs in zip(found, expected, strict=True):
        assert relative(ours, theirs.detach()) < 1e-11


@pytest.mark.parametrize(
    ("codec", "error"),
    [("float16", 2e-3), ("bfloat16", 2e-2), ("block8", 3e-2), ("cosine6", 1e-2)],
)
def test_a_codec_gives_the_same_bits_wherever_snapshots_are(codec, error, tmp_path, expected):
    """Encoded on the card, and kept there or brought away."""
    modes = ("device", "cpu", "disk")
    found = [on_card(mode, "snapshots", codec, folder(mode, tmp_path)) for mode in modes]
    for ours, *others, theirs in zip(*found, expected, strict=True):
        assert all(torch.equal(ours, one) for one in others)
        assert relative(ours, theirs.detach()) < error


@pytest.mark.parametrize("codec", ["float16", "cosine6"])
def test_a_codec_goes_with_steps_taken_back(codec, tmp_path, expected):
    """It is for the sums in the layers."""
    found = on_card("disk", "boundary", codec, tmp_path)
    for ours, theirs in zip(found, expected, strict=True):
        assert relative(ours, theirs.detach()) < 1e-2


@pytest.mark.slow
def test_the_reference_keeps_on_a_card_what_it_can(tmp_path, expected):
    """And says what that is."""
    survey = KeptSurvey("scalar", 2, "z0", nt=NT)
    with a_card() as card:
        there = moved(survey, card)
        storage = Storage("device", "snapshots", stride=STRIDE)
        found, _ = gradients(there, storage, backend="reference")
        again, info = gradients(
            there, Storage("disk", stride=STRIDE, path=tmp_path), backend="reference"
        )
        assert (info.mode, info.method) == ("disk", "recompute")
        with pytest.raises(StorageError, match=r"mode 'device' with compression 'none'.*'cuda'"):
            gradients(there, Storage("disk", "snapshots", path=tmp_path), backend="reference")
    for ours, same, theirs in zip(found, again, expected, strict=True):
        assert torch.equal(ours.detach().cpu(), same.detach().cpu())
        assert relative(ours.detach().cpu(), theirs.detach()) < ROUNDING[F64]


def test_what_a_thread_fails_to_keep_is_an_error():
    """And never a wrong gradient."""
    shuttle = Shuttle(EmulatedCard(), HOST, 8, 2)

    def fail(_):
        raise OSError("the disk is full")

    with shuttle.sending(fail) as there:
        there.fill_(1)
    with pytest.raises(OSError, match="the disk is full"):
        shuttle.settle()
    shuttle.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("wavefield-card")]


def test_pieces_come_back_in_the_order_asked_for():
    """However late copies are made, and however often buffers are used."""
    shuttle, kept = Shuttle(EmulatedCard(), HOST, 4, 3), {}
    for number in range(11):
        with shuttle.sending(lambda data, number=number: kept.update({number: data.copy()})) as out:
            out.fill_(number)
    shuttle.settle()
    order = list(range(10, -1, -1))
    pieces = (lambda data, number=n: np.copyto(data, kept[number]) for n in order)
    assert [int(piece[3]) for piece in shuttle.receiving(pieces)] == order
    shuttle.close()
