/* Codecs of single values: 16 bits each, or 8 bits with a scale for 64 values in a row of memory.

   `n` values are encoded block by block, so what is written does not depend on threads. The
   scales of all blocks come first, up to a multiple of 64 bytes, then the values. */

#define SCALED 256 /* values of a block of float16 */
#define SHARED 64 /* values of a block of block8 */
#define INFINITE 0x7f800000

static inline long lines(long bytes) { return (bytes + 63) / 64 * 64; }

/* Up to `most` values in single precision, zeros behind them. */
static inline void fetch(const real *from, long count, float *v, long most)
{
  if (count == most)
    for (long i = 0; i < most; i++) v[i] = (float) from[i];
  else
    for (long i = 0; i < most; i++) v[i] = i < count ? (float) from[i] : 0.0f;
}

static inline void hand_over(const float *v, real *to, long count, long most)
{
  if (count == most)
    for (long i = 0; i < most; i++) to[i] = v[i];
  else
    for (long i = 0; i < count; i++) to[i] = v[i];
}

/* Bits of the largest absolute value, NaN being the largest of all; finite ones only on request. */
static inline int largest(const float *v, long most, int finite)
{
  int found = 0;
  for (long i = 0; i < most; i++) {
    int a = bits_of(v[i]) & 0x7fffffff;
    a = finite && a >= INFINITE ? 0 : a;
    found = a > found ? a : found;
  }
  return found;
}

/* The function `name`(from, n, to, threads), from `name`_block for each block of `size` values. */
#define BY_BLOCK(name, size, type_from, type_to)                                               \
  void name(const type_from *from, long n, type_to *to, int threads)                           \
  {                                                                                            \
    _Pragma("omp parallel num_threads(threads)")                                               \
    {                                                                                          \
      const unsigned mode = flush_denormals();                                                 \
      _Pragma("omp for schedule(static)")                                                      \
      for (long b = 0; b < (n + size - 1) / size; b++)                                         \
        name##_block(from, n, to, b, lesser(size, n - b * size));                              \
      restore_denormals(mode);                                                                 \
    }                                                                                          \
  }

/* Nearest half-precision number, ties to even, of a value below 2^15. */
static inline unsigned short half_of(float x)
{
  const int u = bits_of(x), a = u & 0x7fffffff;
  const int normal = (a + 0xfff + (a >> 13 & 1) - (112 << 23)) >> 13;
  const int small = bits_of(float_of(a) + 0.5f) - bits_of(0.5f);
  const int broken = a > INFINITE ? 0x7e00 : 0x7c00;
  const int h = a >= INFINITE ? broken : a < 113 << 23 ? small : normal;
  return h | (u >> 16 & 0x8000);
}

static inline float value_of_half(unsigned short h)
{
  const int a = h & 0x7fff;
  const float small = float_of(bits_of(0.5f) + a) - 0.5f;
  const float normal = float_of((a << 13) + ((a >= 0x7c00 ? 224 : 112) << 23));
  const float x = a < 0x400 ? small : normal;
  return float_of(bits_of(x) | (h & 0x8000) << 16);
}

static inline void encode_float16_block(const real *slot, long n, unsigned char *out,
                                        long b, long count)
{
  short *powers = (short *) out;
  unsigned short *values = (unsigned short *) (out + lines((n + SCALED - 1) / SCALED * 2));
  float v[SCALED];
  fetch(slot + b * SCALED, count, v, SCALED);
  const int power = 14 + 127 - (largest(v, SCALED, 1) >> 23);
  powers[b] = power < 126 ? power : 126;
  const float scale = float_of((powers[b] + 127) << 23);
  unsigned short h[SCALED];
  for (long i = 0; i < SCALED; i++) h[i] = half_of(v[i] * scale);
  memcpy(values + b * SCALED, h, count * 2);
}

BY_BLOCK(encode_float16, SCALED, real, unsigned char)

static inline void decode_float16_block(const unsigned char *data, long n, real *slot,
                                        long b, long count)
{
  const short *powers = (const short *) data;
  const unsigned short *values
      = (const unsigned short *) (data + lines((n + SCALED - 1) / SCALED * 2));
  const float scale = float_of((127 - powers[b]) << 23);
  unsigned short h[SCALED];
  float v[SCALED];
  memcpy(h, values + b * SCALED, count * 2);
  for (long i = 0; i < SCALED; i++) v[i] = value_of_half(h[i]) * scale;
  hand_over(v, slot + b * SCALED, count, SCALED);
}

BY_BLOCK(decode_float16, SCALED, unsigned char, real)

static inline void encode_bfloat16_block(const real *slot, long n, unsigned char *out,
                                         long b, long count)
{
  unsigned short *values = (unsigned short *) out;
  float v[SCALED];
  unsigned short h[SCALED];
  fetch(slot + b * SCALED, count, v, SCALED);
  for (long i = 0; i < SCALED; i++) {
    const unsigned u = bits_of(v[i]);
    const unsigned near = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    h[i] = (u & 0x7fffffff) > INFINITE ? u >> 16 | 0x40 : near;
  }
  memcpy(values + b * SCALED, h, count * 2);
}

BY_BLOCK(encode_bfloat16, SCALED, real, unsigned char)

static inline void decode_bfloat16_block(const unsigned char *data, long n, real *slot,
                                         long b, long count)
{
  const unsigned short *values = (const unsigned short *) data;
  unsigned short h[SCALED];
  float v[SCALED];
  memcpy(h, values + b * SCALED, count * 2);
  for (long i = 0; i < SCALED; i++) v[i] = float_of((unsigned) h[i] << 16);
  hand_over(v, slot + b * SCALED, count, SCALED);
}

BY_BLOCK(decode_bfloat16, SCALED, unsigned char, real)

/* value = q / 127 * the largest of the block, q = -127 ... 127; all NaN where one is not finite. */
static inline void encode_block8_block(const real *slot, long n, unsigned char *out,
                                       long b, long count)
{
  float *scales = (float *) out;
  unsigned char *values = out + lines((n + SHARED - 1) / SHARED * 4);
  float v[SHARED];
  unsigned char q[SHARED];
  fetch(slot + b * SHARED, count, v, SHARED);
  const int bits = largest(v, SHARED, 0);
  const float most = float_of(bits < INFINITE ? bits : 0x7fc00000);
  const float lift = most < 0x1p-60f ? 0x1p64f : 1.0f;
  const float scale = bits >= 0x800000 && bits < INFINITE ? 127.0f / (most * lift) : 0.0f;
  scales[b] = scale > 0.0f || bits >= INFINITE ? most : 0.0f;
  for (long i = 0; i < SHARED; i++) /* rounded by an addition that keeps no fraction */
    q[i] = bits_of((scale > 0.0f ? v[i] : 0.0f) * lift * scale + 0x1.8p23f);
  memcpy(values + b * SHARED, q, count);
}

BY_BLOCK(encode_block8, SHARED, real, unsigned char)

static inline void decode_block8_block(const unsigned char *data, long n, real *slot,
                                       long b, long count)
{
  const float *scales = (const float *) data;
  const signed char *values = (const signed char *) (data + lines((n + SHARED - 1) / SHARED * 4));
  signed char q[SHARED];
  float v[SHARED];
  memcpy(q, values + b * SHARED, count);
  for (long i = 0; i < SHARED; i++) v[i] = q[i] * (1.0f / 127.0f) * scales[b];
  hand_over(v, slot + b * SHARED, count, SHARED);
}

BY_BLOCK(decode_block8, SHARED, unsigned char, real)

void copy(const unsigned char *from, long bytes, unsigned char *to, int threads)
{
  const long block = 1 << 20;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (long b = 0; b < (bytes + block - 1) / block; b++)
    memcpy(to + b * block, from + b * block, lesser(block, bytes - b * block));
}
