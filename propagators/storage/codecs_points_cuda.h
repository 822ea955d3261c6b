/* Codecs of single values on a card: the bytes that codecs_points.c writes.

   Slots of shots lie `values_shot` elements apart, encoded ones `bytes_shot` bytes; a shot is the
   second index of a block. A group of SHARED / 8 threads has SHARED values with a common scale, 8
   of them a thread, so that neighbours are read by neighbours. What a float holds only without its
   leading bit counts as zero wherever the CPU calculates with it. */

#define EACH_VALUE for (int k = 0; k < 8; k++)
#define INFINITE 0x7f800000

struct codec_arguments {
  real *values;
  unsigned char *bytes;
  long long values_shot, bytes_shot;
  long long n; /* values of a shot */
};

DEVICE int bits_of(float x) { int i; memcpy(&i, &x, sizeof i); return i; }
DEVICE float float_of(int i) { float x; memcpy(&x, &i, sizeof x); return x; }
DEVICE long long lines(long long bytes) { return (bytes + 63) / 64 * 64; }

DEVICE float flushed(float x)
{
  return bits_of(x) & INFINITE ? x : float_of(bits_of(x) & 0x80000000);
}

/* A thread's part of a slot. */
struct part {
  long long block, first; /* of values with a common scale, and the first value of the thread */
  real *values;
  unsigned char *bytes;
};

template <int SHARED> DEVICE part part_of(const codec_arguments &a)
{
  const int threads = SHARED / 8;
  const long long thread = (long long) blockIdx.x * THREADS + threadIdx.x;
  part p;
  p.block = thread / threads;
  p.first = p.block * SHARED + thread % threads;
  p.values = a.values + blockIdx.y * a.values_shot;
  p.bytes = a.bytes + blockIdx.y * a.bytes_shot;
  return p;
}

#define PLACE(p, k) ((p).first + (k) * (SHARED / 8))

template <int SHARED> DEVICE float value_at(const codec_arguments &a, const part &p, int k)
{
  return PLACE(p, k) < a.n ? flushed((float) p.values[PLACE(p, k)]) : 0.0f;
}

/* Bits of the largest of a thread's values, and of those of its group. */
template <int SHARED, bool finite> DEVICE void find_largest(const codec_arguments &a, real *shared)
{
  const part p = part_of<SHARED>(a);
  int found = 0;
  EACH_VALUE {
    int bits = bits_of(value_at<SHARED>(a, p, k)) & 0x7fffffff;
    bits = finite && bits >= INFINITE ? 0 : bits;
    found = bits > found ? bits : found;
  }
  shared[threadIdx.x] = float_of(found);
}

template <int SHARED> DEVICE int largest(const real *shared)
{
  const int first = threadIdx.x / (SHARED / 8) * (SHARED / 8);
  int found = 0;
  for (int i = 0; i < SHARED / 8; i++) {
    const int bits = bits_of((float) shared[first + i]) & 0x7fffffff;
    found = bits > found ? bits : found;
  }
  return found;
}

/* Nearest half-precision number, ties to even, of a value below 2^15. */
DEVICE unsigned short half_of(float x)
{
  const int u = bits_of(x), a = u & 0x7fffffff;
  const int normal = (a + 0xfff + (a >> 13 & 1) - (112 << 23)) >> 13;
  const int small = bits_of(float_of(a) + 0.5f) - bits_of(0.5f);
  const int broken = a > INFINITE ? 0x7e00 : 0x7c00;
  const int h = a >= INFINITE ? broken : a < 113 << 23 ? small : normal;
  return h | (u >> 16 & 0x8000);
}

DEVICE float value_of_half(unsigned short h)
{
  const int a = h & 0x7fff;
  const float small = float_of(bits_of(0.5f) + a) - 0.5f;
  const float normal = float_of((a << 13) + ((a >= 0x7c00 ? 224 : 112) << 23));
  const float x = a < 0x400 ? small : normal;
  return float_of(bits_of(x) | (h & 0x8000) << 16);
}

typedef codec_arguments encode_float16_arguments;
typedef codec_arguments decode_float16_arguments;
typedef codec_arguments encode_bfloat16_arguments;
typedef codec_arguments decode_bfloat16_arguments;
typedef codec_arguments encode_block8_arguments;
typedef codec_arguments decode_block8_arguments;

#define SHARED 256
DEVICE unsigned short *halves(const codec_arguments &a, const part &p)
{
  return (unsigned short *) (p.bytes + lines((a.n + SHARED - 1) / SHARED * 2));
}

DEVICE void encode_float16_first(const codec_arguments &a, real *shared)
{
  find_largest<SHARED, true>(a, shared);
}

DEVICE void encode_float16_second(const codec_arguments &a, const real *shared)
{
  const part p = part_of<SHARED>(a);
  const int wish = 14 + 127 - (largest<SHARED>(shared) >> 23), power = wish < 126 ? wish : 126;
  const float scale = float_of((power + 127) << 23);
  if (p.first == p.block * SHARED && p.first < a.n) ((short *) p.bytes)[p.block] = power;
  EACH_VALUE if (PLACE(p, k) < a.n)
    halves(a, p)[PLACE(p, k)] = half_of(value_at<SHARED>(a, p, k) * scale);
}
TWO_PHASES(encode_float16)

DEVICE void decode_float16_cells(const codec_arguments &a)
{
  const part p = part_of<SHARED>(a);
  if (p.block * SHARED >= a.n) return;
  const float scale = float_of((127 - ((const short *) p.bytes)[p.block]) << 23);
  EACH_VALUE if (PLACE(p, k) < a.n)
    p.values[PLACE(p, k)] = flushed(value_of_half(halves(a, p)[PLACE(p, k)]) * scale);
}
ONE_PHASE(decode_float16)

/* Bits alone, where nothing is converted. */
DEVICE float flushed_if_converted(float x)
{
  return sizeof(real) == sizeof(float) ? x : flushed(x);
}

DEVICE void encode_bfloat16_cells(const codec_arguments &a)
{
  const part p = part_of<SHARED>(a);
  EACH_VALUE if (PLACE(p, k) < a.n) {
    const unsigned u = bits_of(flushed_if_converted((float) p.values[PLACE(p, k)]));
    const unsigned near = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    ((unsigned short *) p.bytes)[PLACE(p, k)]
        = (u & 0x7fffffff) > INFINITE ? u >> 16 | 0x40 : near;
  }
}
ONE_PHASE(encode_bfloat16)

DEVICE void decode_bfloat16_cells(const codec_arguments &a)
{
  const part p = part_of<SHARED>(a);
  EACH_VALUE if (PLACE(p, k) < a.n)
    p.values[PLACE(p, k)]
        = flushed_if_converted(
            float_of((unsigned) ((const unsigned short *) p.bytes)[PLACE(p, k)] << 16));
}
ONE_PHASE(decode_bfloat16)
#undef SHARED

#define SHARED 64
DEVICE signed char *eighths(const codec_arguments &a, const part &p)
{
  return (signed char *) (p.bytes + lines((a.n + SHARED - 1) / SHARED * 4));
}

DEVICE void encode_block8_first(const codec_arguments &a, real *shared)
{
  find_largest<SHARED, false>(a, shared);
}

/* value = q / 127 * the largest of the block, q = -127 ... 127; all NaN where one is not finite. */
DEVICE void encode_block8_second(const codec_arguments &a, const real *shared)
{
  const part p = part_of<SHARED>(a);
  const int bits = largest<SHARED>(shared);
  const float most = float_of(bits < INFINITE ? bits : 0x7fc00000);
  const float lift = most < 0x1p-60f ? 0x1p64f : 1.0f;
  const float scale = bits >= 0x800000 && bits < INFINITE ? 127.0f / (most * lift) : 0.0f;
  if (p.first == p.block * SHARED && p.first < a.n)
    ((float *) p.bytes)[p.block] = scale > 0.0f || bits >= INFINITE ? most : 0.0f;
  EACH_VALUE if (PLACE(p, k) < a.n) { /* rounded by an addition that keeps no fraction */
    const float v = scale > 0.0f ? value_at<SHARED>(a, p, k) : 0.0f;
    eighths(a, p)[PLACE(p, k)] = bits_of(fmaf(v * lift, scale, 0x1.8p23f));
  }
}
TWO_PHASES(encode_block8)

DEVICE void decode_block8_cells(const codec_arguments &a)
{
  const part p = part_of<SHARED>(a);
  if (p.block * SHARED >= a.n) return;
  const float scale = ((const float *) p.bytes)[p.block];
  EACH_VALUE if (PLACE(p, k) < a.n)
    p.values[PLACE(p, k)] = flushed(eighths(a, p)[PLACE(p, k)] * (1.0f / 127.0f) * scale);
}
ONE_PHASE(decode_block8)
#undef SHARED
