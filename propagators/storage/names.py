"""What the options of `Storage` may be; nothing heavy is loaded for them."""

MODES = ("auto", "device", "cpu", "disk", "none")
METHODS = ("auto", "snapshots", "boundary", "recompute")
COMPRESSIONS = (
    "auto",
    "none",
    "float16",
    "bfloat16",
    "block8",
    "cosine6",
    "cosine4",
    "cosine3",
    "cosine2",
    "cosine1",
)
