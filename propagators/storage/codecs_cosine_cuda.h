/* The cosine codec on a card; what is encoded, and how, stands in codecs_cosine.c.

   A block of threads has a tile of 16 blocks of DEEP x 8 x 8 values in shared memory: value i of
   block l at i * PITCH + l. Transformed, tiles lie in `work`, (n_tiles, COUNT, 16) of each shot.
   Streams of bits are written and read by a thread for each lane of each chunk. A shot is the
   second index of a block. */

#define EDGE 8
#define TILE_BLOCKS 16
#define COUNT (DEEP * EDGE * EDGE)
#define CHUNK (16384 / (COUNT * TILE_BLOCKS)) /* tiles */
#define CLASSES (DEEP + 2 * EDGE - 2)
#define PITCH (TILE_BLOCKS + 1)
#define HEAD 64
#define MOST 20 /* bits of a coefficient */
#define ZERO 255
#define BROKEN 254 /* a tile with a value that is not finite */
#define QUIETEST (-4 * 120) /* quarter octaves; what is below is zero */
#define LOUDEST (4 * 127)
#define INFINITE 0x7f800000
#define PLACES (COUNT * PITCH) /* floats of a tile; then 4 numbers of each block, then classes */
#define ROOM (PLACES + 4 * TILE_BLOCKS + CLASSES)
#define STEPS 256 /* steps of the slot that are tried; so many numbers of each kind of sum */

struct cosine_arguments {
  real *values;
  unsigned char *bytes;
  float *work;
  int *loud;    /* (n_tiles, CLASSES) */
  int *starts;  /* (n_chunks + 1) */
  const int *order;  /* coefficients in the order of their classes; where each class starts */
  long long values_shot, bytes_shot;
  int n[3], blocks[3]; /* values and blocks along z, y, x; 1 along z in 2-D */
  int n_tiles, n_chunks, front, words;
};

typedef const cosine_arguments &given;

#define KERNEL(NAME) typedef cosine_arguments NAME##_arguments;
#define NOTHING(PHASE) DEVICE void PHASE(given, float *) {}

DEVICE int bits_of(float x) { int i; memcpy(&i, &x, sizeof i); return i; }
DEVICE float float_of(int i) { float x; memcpy(&x, &i, sizeof x); return x; }
DEVICE int lesser(int a, int b) { return a < b ? a : b; }
DEVICE int greater(int a, int b) { return a > b ? a : b; }
DEVICE int *numbers(float *shared) { return reinterpret_cast<int *>(shared); }
DEVICE const real *values_of(given a) { return a.values + blockIdx.y * a.values_shot; }
DEVICE unsigned char *bytes_of(given a) { return a.bytes + blockIdx.y * a.bytes_shot; }
DEVICE unsigned char *codes_of(given a) { return bytes_of(a) + HEAD; }
DEVICE int *head_of(given a) { return reinterpret_cast<int *>(bytes_of(a)); }
DEVICE int *loud_of(given a)
{
  return a.loud + (long long) blockIdx.y * a.n_tiles * CLASSES;
}
DEVICE int *starts_of(given a) { return a.starts + (long long) blockIdx.y * (a.n_chunks + 1); }
DEVICE int member(given a, int j) { return a.order[j]; }
DEVICE int first_of(given a, int k) { return a.order[COUNT + k]; }
DEVICE float *work_of(given a, int tile)
{
  return a.work + ((long long) blockIdx.y * a.n_tiles + tile) * COUNT * TILE_BLOCKS;
}

/* Where the blocks of a tile start, and whether they exist: a thread for each. */
DEVICE void find_blocks(given a, float *shared)
{
  if (threadIdx.x >= TILE_BLOCKS) return;
  const int deep_bundle = DEEP > 1 ? 2 : 1, high_bundle = DEEP > 1 ? 2 : 4;
  const int rows = a.blocks[1], columns = a.blocks[2], all = a.blocks[0] * rows * columns;
  const int wish = blockIdx.x * TILE_BLOCKS + threadIdx.x;
  int number = lesser(wish, all - 1);
  int z = number / (deep_bundle * rows * columns) * deep_bundle;
  number -= z * rows * columns;
  const int deep = lesser(deep_bundle, a.blocks[0] - z);
  int y = number / (high_bundle * deep * columns) * high_bundle;
  number -= y * deep * columns;
  const int high = lesser(high_bundle, rows - y);
  int *place = numbers(shared) + PLACES + 4 * threadIdx.x;
  place[0] = (z + number % deep) * DEEP;
  place[1] = (y + number / deep % high) * EDGE;
  place[2] = number / (deep * high) * EDGE;
  place[3] = wish < all;
}

#define EACH_OF(i, count) for (int i = threadIdx.x; i < (count); i += THREADS)

/* Values of a tile; beyond the slot its last ones again. */
DEVICE void gather(given a, float *shared)
{
  EACH_OF(item, COUNT * TILE_BLOCKS) {
    const int l = item / COUNT, i = item % COUNT;
    const int *place = numbers(shared) + PLACES + 4 * l;
    const int z = lesser(place[0] + i / (EDGE * EDGE), a.n[0] - 1);
    const int y = lesser(place[1] + i / EDGE % EDGE, a.n[1] - 1);
    const int x = lesser(place[2] + i % EDGE, a.n[2] - 1);
    shared[i * PITCH + l] = (float) values_of(a)[((long long) z * a.n[1] + y) * a.n[2] + x];
  }
}

/* sqrt(2 / 8) cos(pi i / 16); a constant row is C4. */
#define C1 0.49039264020161522f
#define C2 0.46193976625564337f
#define C3 0.41573480615127262f
#define C4 0.35355339059327379f
#define C5 0.27778511650980109f
#define C6 0.19134171618254489f
#define C7 0.09754516100806412f

/* Orthonormal DCT-II of eight values `step` apart. */
DEVICE void forward(float *p, int step)
{
  const float a0 = p[0] + p[7 * step], b0 = p[0] - p[7 * step];
  const float a1 = p[step] + p[6 * step], b1 = p[step] - p[6 * step];
  const float a2 = p[2 * step] + p[5 * step], b2 = p[2 * step] - p[5 * step];
  const float a3 = p[3 * step] + p[4 * step], b3 = p[3 * step] - p[4 * step];
  const float e0 = a0 + a3, f0 = a0 - a3, e1 = a1 + a2, f1 = a1 - a2;
  p[0] = C4 * (e0 + e1);
  p[4 * step] = C4 * (e0 - e1);
  p[2 * step] = C2 * f0 + C6 * f1;
  p[6 * step] = C6 * f0 - C2 * f1;
  p[step] = C1 * b0 + C3 * b1 + C5 * b2 + C7 * b3;
  p[3 * step] = C3 * b0 - C7 * b1 - C1 * b2 - C5 * b3;
  p[5 * step] = C5 * b0 - C1 * b1 + C7 * b2 + C3 * b3;
  p[7 * step] = C7 * b0 - C5 * b1 + C3 * b2 - C1 * b3;
}

DEVICE void inverse(float *p, int step)
{
  const float x1 = p[step], x3 = p[3 * step], x5 = p[5 * step], x7 = p[7 * step];
  const float e0 = C4 * (p[0] + p[4 * step]), e1 = C4 * (p[0] - p[4 * step]);
  const float f0 = C2 * p[2 * step] + C6 * p[6 * step], f1 = C6 * p[2 * step] - C2 * p[6 * step];
  const float a0 = e0 + f0, a3 = e0 - f0, a1 = e1 + f1, a2 = e1 - f1;
  const float b0 = C1 * x1 + C3 * x3 + C5 * x5 + C7 * x7;
  const float b1 = C3 * x1 - C7 * x3 - C1 * x5 - C5 * x7;
  const float b2 = C5 * x1 - C1 * x3 + C7 * x5 + C3 * x7;
  const float b3 = C7 * x1 - C5 * x3 + C3 * x5 - C1 * x7;
  p[0] = a0 + b0;
  p[7 * step] = a0 - b0;
  p[step] = a1 + b1;
  p[6 * step] = a1 - b1;
  p[2 * step] = a2 + b2;
  p[5 * step] = a2 - b2;
  p[3 * step] = a3 + b3;
  p[4 * step] = a3 - b3;
}

/* Lines along an axis, seen from the last: 0 is x. */
template <int axis, bool back> DEVICE void transform(float *shared)
{
  if (axis == 2 && DEEP == 1) return;
  const int step = axis == 0 ? 1 : axis == 1 ? EDGE : EDGE * EDGE;
  EACH_OF(line, COUNT / EDGE * TILE_BLOCKS) {
    const int l = line % TILE_BLOCKS, j = line / TILE_BLOCKS;
    float *p = shared + (j / step * EDGE * step + j % step) * PITCH + l;
    if (back) inverse(p, step * PITCH);
    else forward(p, step * PITCH);
  }
}

/* Quarter octaves: the least e for which 2^(e / 4) >= the positive value of these bits. */
DEVICE float quarter(int i)
{
  return i == 0 ? 1.0f : i == 1 ? 1.18920712f : i == 2 ? 1.41421356f : 1.68179283f;
}

DEVICE int loudness(int bits)
{
  const float m = float_of((bits & 0x7fffff) | 0x3f800000);
  int e = 4 * ((bits >> 23) - 127) + (m > 1.0f);
  for (int i = 1; i < 4; i++) e += m > quarter(i);
  return e;
}

DEVICE float amplitude(int e) { return quarter(e & 3) * float_of(((e >> 2) + 127) << 23); }

/* A tile transformed, and the loudness of its classes; 2 * LOUDEST where a value is not finite. */
KERNEL(cosine_measure)
DEVICE void cosine_measure_0(given a, float *shared)
{
  find_blocks(a, shared);
  EACH_OF(k, CLASSES) numbers(shared)[PLACES + 4 * TILE_BLOCKS + k] = 0;
}
DEVICE void cosine_measure_1(given a, float *shared) { gather(a, shared); }
DEVICE void cosine_measure_2(given, float *shared) { transform<0, false>(shared); }
DEVICE void cosine_measure_3(given, float *shared) { transform<1, false>(shared); }
DEVICE void cosine_measure_4(given, float *shared) { transform<2, false>(shared); }
DEVICE void cosine_measure_5(given a, float *shared)
{
  EACH_OF(item, CLASSES * TILE_BLOCKS) {
    const int k = item / TILE_BLOCKS, l = item % TILE_BLOCKS;
    int found = 0;
    for (int j = first_of(a, k); j < first_of(a, k + 1); j++)
      found = greater(found, bits_of(shared[member(a, j) * PITCH + l]) & 0x7fffffff);
    atomicMax(numbers(shared) + PLACES + 4 * TILE_BLOCKS + k, found); /* NaN is above infinity */
  }
  EACH_OF(item, COUNT * TILE_BLOCKS)
    work_of(a, blockIdx.x)[item] = shared[item / TILE_BLOCKS * PITCH + item % TILE_BLOCKS];
}
DEVICE void cosine_measure_6(given a, float *shared)
{
  EACH_OF(k, CLASSES) {
    const int largest = numbers(shared)[PLACES + 4 * TILE_BLOCKS + k];
    const int e = largest ? loudness(largest) : 2 * QUIETEST;
    const int broken = largest >= INFINITE || e > LOUDEST;
    loud_of(a)[blockIdx.x * CLASSES + k] = broken ? 2 * LOUDEST : e < QUIETEST ? 2 * QUIETEST : e;
  }
}
PHASES(cosine_measure, ROOM)

/* Bits of an amplitude some quarter octaves above its step; a lone one is not worth its room. */
DEVICE int bits_above(int quarters)
{
  const int octaves = quarters > 0 ? (quarters + 3) / 4 : 0;
  return octaves > MOST ? MOST : octaves == 1 ? 0 : octaves;
}

DEVICE int coarser(const unsigned char *codes)
{
  int loudest = ZERO;
  for (int k = 0; k < CLASSES; k++) loudest = lesser(codes[k], loudest);
  return loudest * 3 / 8;
}

DEVICE int bits_for(int code, int step) { return code < BROKEN ? bits_above(step - code) : 0; }

/* Words of a chunk. */
DEVICE int words_of(given a, int chunk, int finest)
{
  int sum = 0;
  for (int t = chunk * CHUNK; t < lesser((chunk + 1) * CHUNK, a.n_tiles); t++) {
    const unsigned char *codes = codes_of(a) + t * CLASSES;
    const int step = finest + coarser(codes);
    for (int k = 0; k < CLASSES; k++)
      sum += bits_for(codes[k], step) * (first_of(a, k + 1) - first_of(a, k));
  }
  return (sum + 31) / 32;
}

/* One block of threads: codes, the finest steps that fit, and where chunks start. In shared memory
   are numbers by step, then one of each thread. */
DEVICE void range_of(int count, int &begin, int &end)
{
  begin = (long long) count * threadIdx.x / THREADS;
  end = (long long) count * (threadIdx.x + 1) / THREADS;
}

DEVICE void add_words(given a, float *shared)
{
  int begin, end, sum = 0;
  range_of(a.n_chunks, begin, end);
  for (int i = begin; i < end; i++) sum += starts_of(a)[i + 1] = words_of(a, i, head_of(a)[1]);
  numbers(shared)[STEPS + threadIdx.x] = sum;
}

DEVICE void place_chunks(given a, float *shared)
{
  int begin, end, sum = 0;
  range_of(a.n_chunks, begin, end);
  for (int i = 0; i < (int) threadIdx.x; i++) sum += numbers(shared)[STEPS + i];
  if (threadIdx.x == 0) starts_of(a)[0] = 0;
  for (int i = begin; i < end; i++) starts_of(a)[i + 1] = sum += starts_of(a)[i + 1];
}

KERNEL(cosine_share)
DEVICE void cosine_share_0(given a, float *shared)
{
  int top = QUIETEST;
  EACH_OF(i, a.n_tiles * CLASSES)
    if (loud_of(a)[i] <= LOUDEST) top = greater(top, loud_of(a)[i]);
  numbers(shared)[STEPS + threadIdx.x] = top;
  EACH_OF(i, STEPS) numbers(shared)[i] = 0;
}
DEVICE void cosine_share_1(given a, float *shared)
{
  int top = QUIETEST;
  for (int i = 0; i < THREADS; i++) top = greater(top, numbers(shared)[STEPS + i]);
  EACH_OF(i, HEAD / 4) head_of(a)[i] = i == 0 ? top : 0;
  EACH_OF(t, a.n_tiles) {
    unsigned char *codes = codes_of(a) + t * CLASSES;
    const int *loud = loud_of(a) + t * CLASSES;
    bool broken = false;
    for (int k = 0; k < CLASSES; k++) broken = broken || loud[k] > LOUDEST;
    for (int k = 0; k < CLASSES; k++) {
      const int below = top - loud[k];
      codes[k] = broken ? BROKEN : below >= BROKEN ? ZERO : below;
    }
    const int step = coarser(codes);
    for (int k = 0; k < CLASSES; k++)
      if (codes[k] < BROKEN)
        atomicAdd(numbers(shared) + codes[k] - step, first_of(a, k + 1) - first_of(a, k));
  }
}
DEVICE void cosine_share_2(given a, float *shared)
{
  if (threadIdx.x) return;
  int low = 0, high = STEPS;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    long long sum = 0;
    for (int i = 0; i < STEPS; i++) sum += (long long) numbers(shared)[i] * bits_above(middle - i);
    if (sum / 32 + a.n_chunks <= a.words) low = middle;
    else high = middle;
  }
  head_of(a)[1] = low;
}
DEVICE void cosine_share_3(given a, float *shared) { add_words(a, shared); }
DEVICE void cosine_share_4(given a, float *shared) { place_chunks(a, shared); }
NOTHING(cosine_share_5)
NOTHING(cosine_share_6)
PHASES(cosine_share, STEPS + THREADS)

/* The same of what was encoded. */
KERNEL(cosine_allot)
DEVICE void cosine_allot_0(given a, float *shared) { add_words(a, shared); }
DEVICE void cosine_allot_1(given a, float *shared) { place_chunks(a, shared); }
NOTHING(cosine_allot_2)
NOTHING(cosine_allot_3)
NOTHING(cosine_allot_4)
NOTHING(cosine_allot_5)
NOTHING(cosine_allot_6)
PHASES(cosine_allot, STEPS + THREADS)

/* A lane of a chunk: its words are 16 apart. */
DEVICE unsigned *stream_of(given a, int chunk, int l)
{
  unsigned *words = reinterpret_cast<unsigned *>(bytes_of(a) + a.front);
  return words + (long long) starts_of(a)[chunk] * TILE_BLOCKS + l;
}

KERNEL(cosine_write)
DEVICE void cosine_write_cells(given a)
{
  const int thread = blockIdx.x * THREADS + threadIdx.x;
  const int chunk = thread / TILE_BLOCKS, l = thread % TILE_BLOCKS, top = head_of(a)[0];
  if (chunk >= a.n_chunks) return;
  unsigned *at = stream_of(a, chunk, l), word = 0;
  int filled = 0;
  for (int t = chunk * CHUNK; t < lesser((chunk + 1) * CHUNK, a.n_tiles); t++) {
    const unsigned char *codes = codes_of(a) + t * CLASSES;
    const float *from = work_of(a, t) + l;
    const int step = head_of(a)[1] + coarser(codes);
    for (int k = 0; k < CLASSES; k++) {
      const int bits = bits_for(codes[k], step);
      if (!bits) continue;
      const int half = 1 << (bits - 1);
      const float levels = half - 0.5f, scale = 2.0f / amplitude(top - codes[k]);
      for (int j = first_of(a, k); j < first_of(a, k + 1); j++) {
        const float x = from[member(a, j) * TILE_BLOCKS] * scale;
        const int sign = bits_of(x) >> 31;
        const float size = float_of(bits_of(x) & 0x7fffffff) + 0.25f;
        int q = (int) ((sqrtf(size) - 0.5f) * levels + 0.5f);
        q = ~greater(~q, sign - half); /* at most half - 1, or half below zero */
        const unsigned value = ((q ^ sign) - sign) + half;
        word |= value << filled;
        filled += bits;
        if (filled >= 32) {
          filled -= 32;
          *at = word;
          at += TILE_BLOCKS;
          word = filled ? value >> (bits - filled) : 0;
        }
      }
    }
  }
  if (filled) *at = word;
}
ONE_PHASE(cosine_write)

KERNEL(cosine_read)
DEVICE void cosine_read_cells(given a)
{
  const int thread = blockIdx.x * THREADS + threadIdx.x;
  const int chunk = thread / TILE_BLOCKS, l = thread % TILE_BLOCKS, top = head_of(a)[0];
  if (chunk >= a.n_chunks) return;
  const unsigned *at = stream_of(a, chunk, l);
  unsigned word = 0;
  int left = 0; /* bits of the word */
  for (int t = chunk * CHUNK; t < lesser((chunk + 1) * CHUNK, a.n_tiles); t++) {
    const unsigned char *codes = codes_of(a) + t * CLASSES;
    float *to = work_of(a, t) + l;
    const int step = head_of(a)[1] + coarser(codes);
    for (int k = 0; k < CLASSES; k++) {
      const float none = codes[k] == BROKEN ? float_of(0x7fc00000) : 0.0f;
      const int bits = bits_for(codes[k], step), half = bits ? 1 << (bits - 1) : 0;
      const float scale = 0.5f * (bits ? amplitude(top - codes[k]) : 0.0f);
      const float spacing = 1.0f / (half - 0.5f);
      const unsigned mask = (1u << bits) - 1;
      for (int j = first_of(a, k); j < first_of(a, k + 1); j++) {
        float found = none;
        if (bits) {
          unsigned value = word;
          if (left >= bits) {
            word >>= bits;
            left -= bits;
          } else {
            const unsigned next = *at;
            const int more = bits - left;
            at += TILE_BLOCKS;
            value |= next << left;
            word = next >> more;
            left = 32 - more;
          }
          const float y = (float) ((int) (value & mask) - half) * spacing;
          found = y * (1.0f + float_of(bits_of(y) & 0x7fffffff)) * scale;
        }
        to[member(a, j) * TILE_BLOCKS] = found;
      }
    }
  }
}
ONE_PHASE(cosine_read)

KERNEL(cosine_restore)
DEVICE void cosine_restore_0(given a, float *shared) { find_blocks(a, shared); }
DEVICE void cosine_restore_1(given a, float *shared)
{
  EACH_OF(item, COUNT * TILE_BLOCKS)
    shared[item / TILE_BLOCKS * PITCH + item % TILE_BLOCKS] = work_of(a, blockIdx.x)[item];
}
DEVICE void cosine_restore_2(given, float *shared) { transform<0, true>(shared); }
DEVICE void cosine_restore_3(given, float *shared) { transform<1, true>(shared); }
DEVICE void cosine_restore_4(given, float *shared) { transform<2, true>(shared); }
DEVICE void cosine_restore_5(given a, float *shared)
{
  EACH_OF(item, COUNT * TILE_BLOCKS) {
    const int l = item / COUNT, i = item % COUNT;
    const int *place = numbers(shared) + PLACES + 4 * l;
    const int z = place[0] + i / (EDGE * EDGE), y = place[1] + i / EDGE % EDGE;
    const int x = place[2] + i % EDGE;
    if (place[3] && z < a.n[0] && y < a.n[1] && x < a.n[2])
      a.values[blockIdx.y * a.values_shot + ((long long) z * a.n[1] + y) * a.n[2] + x]
          = shared[i * PITCH + l];
  }
}
NOTHING(cosine_restore_6)
PHASES(cosine_restore, ROOM)
