"""C that counts numbers below the least of full precision as zero, for kernels and codecs."""

DENORMALS = """\
#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* The mode of this thread's arithmetic so far, for `restore_denormals`. */
static inline unsigned flush_denormals(void)
{
#if defined(__SSE2__)
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040);
  return mode;
#else
  return 0;
#endif
}

static inline void restore_denormals(unsigned mode)
{
#if defined(__SSE2__)
  _mm_setcsr(mode);
#endif
}
"""
