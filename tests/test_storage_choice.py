"""Which way of keeping the wavefield is taken, and what is said where none fits."""

from dataclasses import replace

import pytest
import torch
from emulated_cuda import EmulatedCard
from kept_surveys import on

from wavepipe.propagators import Storage
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage import choice, codecs, memory
from wavepipe.propagators.storage.history import BoundaryShape, HistoryShape
from wavepipe.propagators.storage.names import COMPRESSIONS


def sizes(n_slots=300):
    """A history of 300 MB, and states of 5 MB."""
    return HistoryShape(("a",), 1, (500, 512), torch.float32, 5, 5 * n_slots), 5_000_000


def test_a_filesystem_in_memory_is_warned_of(scratch_disk, monkeypatch):
    """It saves no memory."""
    monkeypatch.setattr(choice, "in_memory", lambda folder: True)
    with pytest.warns(UserWarning, match="in memory: mode 'disk' saves none"):
        choice.choose(on(scratch_disk), *sizes())


def test_auto_takes_the_first_way_that_fits(scratch_disk, monkeypatch):
    """In memory, compressed as accurately as fits, on disk, or computed again."""

    def chosen(budget, **options):
        found = choice.choose(Storage(budget=budget, path=scratch_disk, **options), *sizes())
        assert found.memory <= budget
        return found.mode, found.method, found.compression

    monkeypatch.setattr(choice, "in_memory", lambda folder: False)
    everything = {"compression": "auto", "max_gradient_error": 1e-3}
    assert chosen(400e6) == ("device", "snapshots", "none")
    assert chosen(200e6, **everything) == ("device", "snapshots", "cosine6")
    assert chosen(38e6, **everything) == ("device", "snapshots", "cosine3")
    assert chosen(28e6, **everything) == ("disk", "snapshots", "cosine6")
    assert chosen(28e6, compression="auto", max_gradient_error=1e-6) == (
        "disk",
        "snapshots",
        "none",
    )
    assert chosen(200e6) == ("disk", "snapshots", "none")
    monkeypatch.setattr(choice, "_has_room", lambda *_: False)
    assert chosen(200e6) == ("device", "recompute", "none")
    assert chosen(200e6, method="recompute") == ("device", "recompute", "none")


def test_auto_trusts_the_cosine_codecs_on_grids_like_those_measured_only(scratch_disk):
    """In a few blocks a source's neighbourhood is everything."""
    _, states = sizes()
    few = HistoryShape(("a",), 1, (100, 112), torch.float32, 5, 1500)
    assert few.bytes > 12e6
    storage = Storage(compression="auto", max_gradient_error=1e-3, budget=8e6, path=scratch_disk)
    assert choice.choose(storage, few, states).compression == "float16"


def test_without_a_budget_auto_leaves_half_of_the_memory(scratch_disk, monkeypatch):
    """What is asked for by name is taken as it is."""
    monkeypatch.setattr(choice, "free_memory", lambda: 500e6)
    monkeypatch.setattr(choice, "in_memory", lambda folder: False)
    assert choice.choose(Storage(path=scratch_disk), *sizes()).mode == "disk"
    assert choice.choose(Storage("device", "snapshots"), *sizes()).mode == "device"
    monkeypatch.setattr(choice, "free_memory", lambda: 700e6)
    assert choice.choose(Storage(), *sizes()).mode == "device"


@pytest.mark.parametrize(
    ("mode", "card", "host", "taken"),
    [
        ("auto", 700e6, 0, ("device", "snapshots")),
        ("auto", 400e6, 700e6, ("cpu", "snapshots")),
        ("auto", 400e6, 500e6, ("device", "recompute")),
        ("auto", 1e6, 700e6, None),
        ("cpu", 40e6, 700e6, ("cpu", "snapshots")),
        ("cpu", 12e6, 700e6, ("cpu", "snapshots")),
        ("cpu", 40e6, 500e6, ("cpu", "recompute")),
        ("cpu", 6e6, 1e12, None),
        ("cpu", 1e12, 6e6, None),
    ],
)
def test_auto_leaves_half_of_the_card_and_half_of_the_computer(
    mode, card, host, taken, monkeypatch
):
    """Each of its own memory, and neither is counted for the other."""
    monkeypatch.setattr(choice, "free_memory", lambda: host)
    monkeypatch.setattr(choice, "_has_room", lambda *_: False)
    history, states = sizes()
    history = replace(history, device=torch.device("cuda:0"), card=EmulatedCard())
    if taken is None:
        with pytest.raises(StorageError, match=r"half of the free memory is .*, of the card's"):
            choice.choose(Storage(mode), history, states, on_card=lambda: card)
        return
    found = choice.choose(Storage(mode), history, states, on_card=lambda: card)
    assert (found.mode, found.method) == taken
    assert found.on_card <= card / 2
    assert found.memory - found.on_card <= host / 2
    if (card, host) == (40e6, 700e6):  # what the computer keeps cuts no window of the card
        assert found.window > 1


def test_the_reference_on_a_card_keeps_what_it_can(scratch_disk, monkeypatch):
    """There, as it is, or computed again; a codec, or what goes elsewhere, is refused."""
    monkeypatch.setattr(choice, "in_memory", lambda folder: False)
    history, states = sizes()
    history = replace(history, device=torch.device("cuda:0"))
    everything = Storage(compression="auto", max_gradient_error=1e-2, path=scratch_disk)
    for free, method in ((700e6, "snapshots"), (500e6, "recompute")):
        monkeypatch.setattr(choice, "free_memory", lambda free=free: free)
        for storage in (Storage(), everything):
            found = choice.choose(storage, history, states)
            assert (found.mode, found.method, found.compression) == ("device", method, "none")
    for asked in (
        Storage("disk", "snapshots", path=scratch_disk),
        Storage("cpu", "snapshots"),
        Storage("device", "snapshots", compression="cosine4"),
        Storage("device", "boundary"),
    ):
        shape = BoundaryShape(history, states, 1.0)
        with pytest.raises(StorageError, match=r"reference back-end on cuda:0 .*mode 'device'"):
            choice.choose(asked, history, states, lambda shape=shape: shape)


def test_a_budget_that_nothing_fits_says_what_would():
    """With sizes."""
    with pytest.raises(StorageError, match=r"takes 307 MB of memory.*'cosine2' \(.* MB\).*disk"):
        choice.choose(Storage("device", "snapshots", budget=50e6), *sizes())
    with pytest.raises(StorageError, match="Nothing does; the least is"):
        choice.choose(Storage(budget=1000), *sizes())


def test_a_budget_for_few_checkpoints_warns_of_the_time():
    """Hundreds of windows and room for one state."""
    with pytest.warns(UserWarning, match="forward run is made .* times again"):
        found = choice.choose(Storage(method="recompute", budget=7e6), *sizes())
    assert found.again > choice.MANY_RUNS


def test_names_are_those_of_the_codecs():
    """The list without heavy imports is the list."""
    assert COMPRESSIONS[2:] == codecs.NAMES[1:]
    assert set(choice.CODEC_ERRORS) == set(COMPRESSIONS[2:])


@pytest.mark.parametrize(
    ("line", "group", "files"),
    [
        ("0::/jobs/one", "jobs/one", ("memory.max", "memory.current", "inactive_file")),
        ("0::/jobs/one", "jobs", ("memory.max", "memory.current", "inactive_file")),
        ("0::/", "", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:memory:/jobs/one",
            "memory/jobs/one",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_free_memory_is_that_of_the_groups(line, group, files, tmp_path, monkeypatch):
    """The least of their limits, less what is used and cannot be given up; else the machine's."""
    machine = memory.free_memory()
    assert machine > 1e6
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text(f"3:cpuset:/\n{line}\n")
    folder, (limit, used, cache) = tmp_path / group, files
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text("max\n")
    assert memory.free_memory() == pytest.approx(machine, rel=0.2)
    (folder / limit).write_text("3000000\n")
    (folder / used).write_text("2500000\n")
    (folder / "memory.stat").write_text(f"anon 1\n{cache} 200000\n")
    assert memory.free_memory() == 700_000


def test_computing_again_is_offered_in_as_little_memory_as_it_takes(monkeypatch):
    """Half of the free memory may be less than what the least number of runs would take."""
    monkeypatch.setattr(choice, "free_memory", lambda: 60e6)
    found = choice.choose(Storage(method="recompute"), *sizes())
    assert found.memory < 60e6
