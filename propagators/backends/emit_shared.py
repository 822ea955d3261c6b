"""Terms that several updates at a vector need: written once, in front of the statements."""

from collections.abc import Callable

Named = Callable[[bool, str, bool], str]
"""What to write, given whether it is needed at every vector, an expression, and whether that can be
evaluated anywhere on the grid."""


def with_shared(statements: Callable[[Named], list[str]], pad: str) -> list[str]:
    """Statements, behind what they need at every vector and more than once.

    Parameters
    ----------
    statements
        Writes them, with names for their terms; called twice.
    """
    uses: dict[str, int] = {}
    always: set[str] = set()

    def count(everywhere: bool, text: str, anywhere: bool) -> str:
        if anywhere:
            uses[text] = uses.get(text, 0) + 1
            if everywhere:
                always.add(text)
        return text

    statements(count)
    repeated = (text for text, n in uses.items() if n > 1 and text in always)
    names = {text: f"d{i}" for i, text in enumerate(repeated)}
    lines = statements(lambda _, text, __: names.get(text, text))
    return [f"{pad}const vector {name} = {text};" for text, name in names.items()] + lines
