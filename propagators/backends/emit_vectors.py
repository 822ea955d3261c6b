"""C source of vectors: explicit ones, because a compiler finds too few of them by itself.

A stencil's taps along x are put together from two aligned vectors, where there is an instruction
for that; loading each tap would cross a cache line every time. Elsewhere they are loaded.
"""

from wavepipe.propagators.backends.layout import LINE

_TYPES = """\
#if defined(__AVX512F__)
#define VECTOR_BYTES WIDEST
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define LANES (VECTOR_BYTES / (long) sizeof(real))

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef INTEGER mask __attribute__((vector_size(VECTOR_BYTES)));

static inline vector load(const real *p) { return *(const loose *) p; }
static inline void store(real *p, vector v) { *(loose *) p = v; }

static const INTEGER lanes[] = { NUMBERS };

/* Which lanes of the vector at x lie in low ... high - 1. */
static inline mask between(long x, long low, long high)
{
  mask lane;
  __builtin_memcpy(&lane, lanes, sizeof lane);
  return (lane >= (INTEGER) (low - x)) & (lane < (INTEGER) (high - x));
}

static inline vector chosen(mask inside, vector yes, vector no)
{
  return (vector) ((inside & (mask) yes) | (~inside & (mask) no));
}
"""

_INTEGERS = {"float": "int", "double": "long long"}


def vectors(dtype: str, reach: int) -> str:
    """Types, loads and stores; loads of the vector up to `reach` points aside."""
    size = {"float": 4, "double": 8}[dtype]
    count = LINE // size
    text = (
        _TYPES.replace("WIDEST", str(LINE))
        .replace("INTEGER", _INTEGERS[dtype])
        .replace("NUMBERS", ", ".join(map(str, range(count))))
    )
    moves = [k for k in range(-reach, reach + 1) if k]
    shuffled = [_shuffled(k, count) for k in moves]
    loaded = [_loaded(k) for k in moves]
    return "\n".join([text, _CONDITION, *shuffled, "#else", *loaded, "#endif", ""])


_CONDITION = """\
#if defined(__has_builtin)
#if defined(__AVX512F__) && __has_builtin(__builtin_shufflevector)
#define SHUFFLES
#endif
#endif
#ifdef SHUFFLES"""


def shifted(k: int) -> str:
    """Name of the function that loads the vector `k` points to the right."""
    return f"right_{k}" if k > 0 else f"left_{-k}" if k < 0 else "load"


def _shuffled(k: int, count: int) -> str:
    """From two neighbours among the vectors of `count` lanes."""
    whole, lane = divmod(k, count)
    if not lane:
        return _loaded(k)
    neighbours = f"load(p + {whole * count}), load(p + {(whole + 1) * count})"
    lanes = ", ".join(str(lane + i) for i in range(count))
    return (
        f"static inline vector {shifted(k)}(const real *p)\n"
        f"{{ return __builtin_shufflevector({neighbours}, {lanes}); }}"
    )


def _loaded(k: int) -> str:
    return f"static inline vector {shifted(k)}(const real *p) {{ return load(p + {k}); }}"
