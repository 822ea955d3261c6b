"""The 3200-character text headers: read in EBCDIC or ASCII, written in EBCDIC."""

from collections.abc import Sequence
from pathlib import Path

from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.headers import FILE_HEADER_BYTES, TEXT_BYTES

_LINES = 40
_COLUMNS = 76


def text_header(lines: Sequence[str]) -> str:
    """Lay out lines of text as the 40 numbered lines of 80 characters of a text header.

    Long lines are broken at spaces; what does not fit in 39 lines is left out.

    Examples
    --------
    >>> text_header(["synthetic gathers"])[:22]
    'C 1 synthetic gathers '
    """
    wrapped: list[str] = []
    for line in lines:
        wrapped += _wrap(line)
    body = [*(wrapped + [""] * _LINES)[: _LINES - 1], "END TEXTUAL HEADER"]
    numbered = (f"C{number:2d} {line:<{_COLUMNS}}" for number, line in enumerate(body, start=1))
    return "".join(line[:80] for line in numbered)


def _wrap(line: str) -> list[str]:
    words = line.encode("ascii", "replace").decode().split()
    wrapped = [""]
    for word in words:
        extended = f"{wrapped[-1]} {word}".strip()
        if len(extended) <= _COLUMNS:
            wrapped[-1] = extended
        else:
            wrapped.append(word[:_COLUMNS])
    return wrapped


def read_text(file: SegyFile) -> tuple[list[str], str]:
    """Read the text headers.

    Returns
    -------
    lines : list of str
        80-character lines of the main and the extended text headers, right-stripped.
    encoding : str
        'EBCDIC', 'ASCII' or 'blank'.
    """
    with Path(file.path).open("rb") as handle:
        raw = handle.read(TEXT_BYTES)
        handle.seek(FILE_HEADER_BYTES)
        extended = handle.read(TEXT_BYTES * file.n_extended_text)
    encoding = _text_encoding(raw)
    lines: list[str] = []
    for block in (raw, extended):
        codec = "cp037" if _text_encoding(block) == "EBCDIC" else "latin-1"
        text = block.decode(codec, "replace")
        lines += [_printable(text[start : start + 80]) for start in range(0, len(text), 80)]
    return lines, encoding


def _text_encoding(raw: bytes) -> str:
    kept = raw.replace(b"\x00", b"")
    if not kept.strip(b"\x20\x40"):
        return "blank"
    # Blanks are the most common character: 0x40 in EBCDIC ('@' in ASCII), 0x20 in ASCII.
    return "EBCDIC" if kept.count(0x40) > kept.count(0x20) else "ASCII"


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in line).rstrip()
