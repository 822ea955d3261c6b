/* In front of every codec: the kind of its values, and their bits. */

#include <math.h>
#include <omp.h>
#include <string.h>

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
