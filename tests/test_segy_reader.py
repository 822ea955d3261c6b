"""SEG-Y files as they are found: real ones, odd ones, broken ones."""

import struct
from pathlib import Path

import numpy as np
import pytest
from segy_files import line_headers, write_segy

from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy import index
from wavepipe.pipeline.segy.file_format import open_segy
from wavepipe.pipeline.segy.index import scan_headers
from wavepipe.pipeline.segy.inspect import describe, inspect_segy
from wavepipe.pipeline.segy.raw_reader import map_traces, read_traces_raw
from wavepipe.pipeline.segy.reader import _read_traces_segyio, read_traces, segyio_reads
from wavepipe.pipeline.segy.text_header import read_text, text_header

NOT_SEGY = {".npy", ".txt", ".md", ""}


def _segy_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in (folder / "segy").rglob("*")
        if path.is_file() and path.suffix not in NOT_SEGY
    )


def _samples(n_traces=3, n_samples=5):
    return np.random.default_rng(0).integers(0, 99, (n_traces, n_samples)).astype(np.float64)


def _all(file):
    return np.arange(file.n_traces, dtype=np.int64)


def _normalised_ibm(file):
    data = np.ascontiguousarray(map_traces(file)[:, file.header_bytes :])
    words = data.view(file.byte_order + "u4")
    return (words & 0x00F00000 != 0) | (words & 0x00FFFFFF == 0)


def _describes_or_refuses_by_name(path):
    try:
        text = describe(inspect_segy(path))
    except SegyError as error:
        text = str(error)
        described = False
    else:
        described = True
    assert path.name in text
    return described


def test_both_readers_agree_wherever_both_read(data_folder):
    compared = 0
    for path in _segy_files(data_folder):
        try:
            file = open_segy(path)
        except SegyError:
            continue
        if not segyio_reads(file):
            continue
        ours, theirs = read_traces_raw(file, _all(file)), _read_traces_segyio(file, _all(file))
        if file.format.code == 1:
            # segyio decodes IBM floats wrongly where the fraction is not normalised.
            theirs = np.where(_normalised_ibm(file), theirs, ours)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(path))
        compared += 1
    assert compared >= 50


def test_decoded_samples_equal_the_truth_of_another_code(data_folder):
    truths = sorted((data_folder / "segy" / "obspy").glob("*.npy"))
    assert len(truths) >= 6
    for truth in truths:
        file = open_segy(truth.with_suffix(""))
        np.testing.assert_array_equal(
            read_traces(file, _all(file)).ravel(), np.load(truth).ravel().astype(np.float32)
        )


def test_the_same_data_decode_alike_in_every_format(data_folder):
    folder = data_folder / "segy" / "segyio"
    reference = open_segy(folder / "f3.sgy")
    expected = read_traces(reference, _all(reference))
    names = ["1msb", "1lsb", "2msb", "3msb", "5msb", "5lsb", "6msb"]
    for path in [folder / "f3-lsb.sgy", *(folder / f"multiformats/Format{n}.sgy" for n in names)]:
        file = open_segy(path)
        np.testing.assert_array_equal(read_traces(file, _all(file)), expected, err_msg=path.name)


def test_every_file_is_described_or_refused(data_folder):
    refused = [
        path.name for path in _segy_files(data_folder) if not _describes_or_refuses_by_name(path)
    ]
    assert refused == ["decrement.sgy"]  # every header field is at its limit


def test_extended_text_headers_are_skipped_counted_or_not(data_folder):
    folder = data_folder / "segy" / "segyio"
    known, unknown = (
        open_segy(folder / f"stanzas-{count}-count.sgy") for count in ("known", "unknown")
    )
    assert (known.n_extended_text, known.n_traces) == (3, 6)
    assert (unknown.n_extended_text, unknown.n_traces) == (3, 6)
    np.testing.assert_array_equal(
        read_traces(known, _all(known)), read_traces(unknown, _all(unknown))
    )
    many = open_segy(folder / "multi-text.sgy")
    assert (many.n_extended_text, many.n_traces, len(read_text(many)[0])) == (4, 1, 200)


@pytest.mark.parametrize("byte_order", [">", "<"])
@pytest.mark.parametrize("code", [1, 2, 3, 5, 6, 8, 10, 11, 16])
def test_formats_and_byte_orders_read_back(tmp_path, code, byte_order):
    samples = _samples()
    file = open_segy(
        write_segy(tmp_path / "a.sgy", samples, binary={"format": code}, byte_order=byte_order)
    )
    assert (file.byte_order, file.format.code) == (byte_order, code)
    np.testing.assert_array_equal(read_traces_raw(file, _all(file)), samples)
    np.testing.assert_array_equal(read_traces(file, _all(file)), samples)


def test_traces_come_in_the_order_asked_for(tmp_path):
    samples = _samples(n_traces=6)
    file = open_segy(write_segy(tmp_path / "a.sgy", samples))
    order = np.array([4, 1, 2, 3, 0])
    np.testing.assert_array_equal(read_traces(file, order), samples[order])


def test_a_wrong_sample_count_in_the_binary_header_is_corrected_and_reported(tmp_path):
    path = write_segy(tmp_path / "a.sgy", _samples(4, 50), binary={"n_samples": 77})
    file = open_segy(path)
    assert (file.n_samples, file.n_traces) == (50, 4)
    assert "77 in the binary header not believed" in file.assumptions[0]
    np.testing.assert_array_equal(read_traces(file, _all(file)), _samples(4, 50))


def test_a_wrong_sample_count_in_the_trace_header_is_reported(tmp_path):
    file = open_segy(write_segy(tmp_path / "a.sgy", _samples(4, 50), {"n_samples": 1500}))
    assert file.n_samples == 50
    assert "1500 in the trace header not believed" in file.assumptions[0]


@pytest.mark.parametrize(
    ("binary", "trace", "dt", "words"),
    [
        (4000, 4000, 0.004, ""),
        (0, 2000, 0.002, "binary header says 0"),
        (2000, 0, 0.002, ""),
        (2000, 4000, 0.002, "first trace header says 4000 us"),
        (0, 0, 0.0, "sample interval unknown"),
        (50000, 50000, 0.05, ""),  # above the signed range
    ],
)
def test_the_interval_comes_from_either_header(tmp_path, binary, trace, dt, words):
    file = open_segy(
        write_segy(tmp_path / "a.sgy", _samples(), {"interval": trace}, {"interval": binary})
    )
    assert file.dt == dt
    assert words in " ".join(file.assumptions)
    assert bool(words) == bool(file.assumptions)


@pytest.mark.parametrize(
    ("major", "minor", "revision"),
    [
        (1, 0, (1, 0)),
        (2, 0, (2, 0)),
        (2, 1, (2, 1)),
        (0, 1, (1, 0)),
        (0, 2, (2, 0)),
        (0, 0, (0, 0)),
        (32, 32, (0, 0)),
    ],
)
def test_revisions_are_read_also_where_misspelt(tmp_path, major, minor, revision):
    binary = {"revision_major": major, "revision_minor": minor}
    assert open_segy(write_segy(tmp_path / "a.sgy", _samples(), binary=binary)).revision == revision


def test_revision_two_extended_fields_win(tmp_path):
    binary = {
        "revision_major": 2,
        "n_samples": 0,
        "interval": 0,
        "extended_n_samples": 70000,
        "extended_interval": 333.25,
        "byte_order_mark": 0x01020304,
    }
    samples = _samples(2, 70000)
    file = open_segy(
        write_segy(tmp_path / "a.sgy", samples, {"n_samples": 0, "interval": 0}, binary)
    )
    assert (file.n_samples, file.n_traces) == (70000, 2)
    assert file.dt == pytest.approx(333.25e-6, rel=1e-12)
    np.testing.assert_array_equal(read_traces(file, _all(file)), samples)


def test_extra_trace_headers_of_revision_two_are_skipped(tmp_path):
    samples = _samples(3, 6)
    # An extra header is 240 bytes, 60 samples of zeros, before the samples themselves.
    padded = np.concatenate([np.zeros((3, 60)), samples], axis=1)
    path = write_segy(
        tmp_path / "a.sgy",
        padded,
        {"n_samples": 6},
        {"revision_major": 2, "n_samples": 6, "extra_trace_headers": 1},
    )
    file = open_segy(path)
    assert (file.n_samples, file.n_traces, file.header_bytes) == (6, 3, 480)
    np.testing.assert_array_equal(read_traces(file, _all(file)), samples)


def test_a_file_cut_within_a_trace_keeps_its_whole_traces_and_says_so(tmp_path):
    path = write_segy(tmp_path / "a.sgy", _samples(4, 50))
    path.write_bytes(path.read_bytes()[:-30])
    file = open_segy(path)
    assert file.n_traces == 3
    assert "cut short: after 3 whole traces" in file.assumptions[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"x" * 3000, "has 3000 bytes"),
        (b"this is a text file, line after line\n" * 200, "is not SEG-Y"),
        (bytes(5000), "format 0"),
    ],
    ids=["empty", "short", "text", "zeros"],
)
def test_what_is_not_segy_is_refused_with_its_name_and_size(tmp_path, content, words):
    path = tmp_path / "broken.sgy"
    path.write_bytes(content)
    with pytest.raises(SegyError, match=words) as raised:
        open_segy(path)
    assert "broken.sgy" in str(raised.value)
    assert str(len(content)) in str(raised.value) or not content


def test_a_missing_file_a_folder_and_a_vanished_file_are_refused(tmp_path):
    with pytest.raises(SegyError, match=r"none\.sgy: No such file"):
        open_segy(tmp_path / "none.sgy")
    with pytest.raises(SegyError, match="is not a file"):
        open_segy(tmp_path)
    path = write_segy(tmp_path / "a.sgy", _samples())
    file = open_segy(path)
    path.unlink()
    with pytest.raises(SegyError, match="was it moved"):
        read_traces(file, _all(file))


def test_a_file_shorter_than_one_trace_is_refused(tmp_path):
    path = write_segy(tmp_path / "a.sgy", _samples(1, 500))
    path.write_bytes(path.read_bytes()[:4500])
    with pytest.raises(SegyError, match="less than one trace of 500 samples"):
        open_segy(path)


def test_random_bytes_never_give_anything_but_a_segy_error(tmp_path):
    rng = np.random.default_rng(5)
    path = tmp_path / "noise.sgy"
    for code in (1, 5, 7, 16):
        for _ in range(25):
            content = bytearray(rng.bytes(int(rng.integers(3800, 20000))))
            content[3224:3226] = struct.pack(">h", code)
            path.write_bytes(bytes(content))
            _describes_or_refuses_by_name(path)


def test_headers_scan_in_chunks_alike(tmp_path, monkeypatch):
    headers = line_headers(np.arange(10) * 10, np.arange(7) * 5)
    file = open_segy(write_segy(tmp_path / "a.sgy", _samples(70, 3), headers))
    whole = scan_headers(file, ["source_x", "receiver_x"])
    monkeypatch.setattr(index, "_TRACES_PER_CHUNK", 8)
    parts = scan_headers(file, ["source_x", "receiver_x"])
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])
        np.testing.assert_array_equal(whole[name], headers[name])


def test_text_headers_read_in_ebcdic_and_ascii(tmp_path):
    text = text_header(["synthetic gathers", "word " * 40])
    assert len(text) == 3200
    assert text[3120:].startswith("C40 END TEXTUAL HEADER")
    for codec, name in (("cp037", "EBCDIC"), ("latin-1", "ASCII")):
        path = write_segy(tmp_path / f"{name}.sgy", _samples(), text=text.encode(codec))
        lines, encoding = read_text(open_segy(path))
        assert encoding == name
        assert lines[0] == "C 1 synthetic gathers"
    blank = open_segy(write_segy(tmp_path / "blank.sgy", _samples()))
    assert read_text(blank)[1] == "blank"


def test_traces_of_different_lengths_are_refused(tmp_path):
    path = write_segy(tmp_path / "a.sgy", _samples(2, 50))
    longer = write_segy(tmp_path / "b.sgy", _samples(3, 70))
    path.write_bytes(path.read_bytes() + longer.read_bytes()[3600:])
    with pytest.raises(SegyError, match="different lengths, 50 to 70 samples"):
        open_segy(path)


def test_a_file_that_may_not_be_read_is_named_with_the_reason(tmp_path, monkeypatch):
    path = write_segy(tmp_path / "secret.sgy", np.ones((2, 5), dtype=np.float32))

    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SegyError, match=r"cannot read .*secret\.sgy: Permission denied"):
        open_segy(path)
