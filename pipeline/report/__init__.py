"""One self-contained page of a run, made from what lies in its folder."""
