/* In front of every codec: the kind of its values, their bits, and arithmetic that is the same on
   all threads. */

#include <math.h>
#include <omp.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef REAL real;

static inline long lesser(long a, long b) { return a < b ? a : b; }

static inline int bits_of(float x)
{
  int i;
  memcpy(&i, &x, sizeof i);
  return i;
}

static inline float float_of(int i)
{
  float x;
  memcpy(&x, &i, sizeof x);
  return x;
}

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
