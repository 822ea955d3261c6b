/* Cosine transforms of blocks, quantised with as many bits as each deserves; see CosineCodec.

   A slot is cut into blocks of DEEP x 8 x 8 values, 16 neighbouring blocks make a tile, a chunk of
   tiles one stream of bits. Lane l of every vector belongs to block l of the tile. Encoded are:

     head      top, finest (int), then zeros up to 64 bytes
     codes     (n_tiles, CLASSES) bytes: the largest coefficient of each class
     words     (total, 16) unsigned, the streams of all chunks one after the other

   A class is all coefficients of a tile whose indices have the same sum. Its code is the number
   of quarter octaves of its largest coefficient below the largest of the slot. Bits are given by
   codes alone, so the decoder knows them. */

#define CLASSES (DEEP + 2 * EDGE - 2)
#define HEAD 64
#define MOST 20 /* bits of a coefficient */
#define ZERO 255
#define BROKEN 254 /* a tile with a value that is not finite */
#define QUIETEST (-4 * 120) /* quarter octaves; what is below is zero */
#define LOUDEST (4 * 127)

/* Coefficients in the order of their classes, and where each class starts. */
typedef struct {
  int place[COUNT], first[CLASSES + 1];
} order;

static inline ivec greater(ivec a, ivec b)
{
  const ivec yes = a > b;
  return (a & yes) | (b & ~yes);
}

static order by_class(void)
{
  order o;
  int n = 0;
  for (int c = 0; c < CLASSES; c++) {
    o.first[c] = n;
    for (int i = 0; i < COUNT; i++)
      if (i / (EDGE * EDGE) + i / EDGE % EDGE + i % EDGE == c) o.place[n++] = i;
  }
  o.first[CLASSES] = n;
  return o;
}

static const float quarters[4] = { 1.0f, 1.18920712f, 1.41421356f, 1.68179283f };

/* Quarter octaves: the least e for which 2^(e / 4) >= the positive value of these bits. */
static int loudness(int bits)
{
  const float m = float_of((bits & 0x7fffff) | 0x3f800000);
  int e = 4 * ((bits >> 23) - 127) + (m > 1.0f);
  for (int i = 1; i < 4; i++) e += m > quarters[i];
  return e;
}

static float amplitude(int e) { return quarters[e & 3] * float_of(((e >> 2) + 127) << 23); }

/* Loudness of each class of a tile; 2 * LOUDEST where a value is not finite. */
static void measure(const order *o, const vec *c, short *loud)
{
  for (int k = 0; k < CLASSES; k++) {
    ivec most[2] = { { 0 } };
    int largest = 0;
    for (int j = o->first[k]; j < o->first[k + 1]; j++)
      for (int h = 0; h < PARTS; h++) {
        const ivec bits = (ivec) c[o->place[j] * PARTS + h] & 0x7fffffff;
        most[j % 2] = greater(bits, most[j % 2]); /* NaN is above infinity */
      }
    most[0] = greater(most[0], most[1]);
    for (int i = 0; i < WIDTH; i++) largest = most[0][i] > largest ? most[0][i] : largest;
    const int e = largest ? loudness(largest) : 2 * QUIETEST;
    loud[k] = largest >= 0x7f800000 || e > LOUDEST ? 2 * LOUDEST : e < QUIETEST ? 2 * QUIETEST : e;
  }
}

/* Codes of all classes from their loudness; the loudest of the slot. */
static int code(const short *loud, unsigned char *codes, long n_tiles)
{
  int top = QUIETEST;
  for (long i = 0; i < n_tiles * CLASSES; i++)
    if (loud[i] <= LOUDEST && loud[i] > top) top = loud[i];
  for (long t = 0; t < n_tiles; t++) {
    int broken = 0;
    for (int k = 0; k < CLASSES; k++) broken |= loud[t * CLASSES + k] > LOUDEST;
    for (int k = 0; k < CLASSES; k++) {
      const int below = top - loud[t * CLASSES + k];
      codes[t * CLASSES + k] = broken ? BROKEN : below >= BROKEN ? ZERO : below;
    }
  }
  return top;
}

/* Bits of an amplitude some quarter octaves above its step; a lone one is not worth its room. */
static inline int bits_above(int quarters)
{
  const int octaves = quarters > 0 ? (quarters + 3) / 4 : 0;
  return octaves > MOST ? MOST : octaves == 1 ? 0 : octaves;
}

/* The step of a tile below the finest. It grows with the power 3/8 of the tile's amplitude, since
   faint waves count for more than their energy. */
static inline int coarser(const unsigned char *codes)
{
  int loudest = ZERO;
  for (int k = 0; k < CLASSES; k++) loudest = codes[k] < loudest ? codes[k] : loudest;
  return loudest * 3 / 8;
}

/* Bits of each class of a tile; their sum over the coefficients of a block. */
static long share_bits(const order *o, const unsigned char *codes, int finest,
                       unsigned char *bits)
{
  const int step = finest + coarser(codes);
  long sum = 0;
  for (int k = 0; k < CLASSES; k++) {
    bits[k] = codes[k] < BROKEN ? bits_above(step - codes[k]) : 0;
    sum += bits[k] * (o->first[k + 1] - o->first[k]);
  }
  return sum;
}

/* The finest steps for which all coefficients fit into some words. */
static int finest_steps(const grid *g, const order *o, const unsigned char *codes, long words)
{
  long members[256] = { 0 }; /* by code, relative to the step of their tile */
  for (long t = 0; t < g->n_tiles; t++, codes += CLASSES) {
    const int step = coarser(codes);
    for (int k = 0; k < CLASSES; k++)
      if (codes[k] < BROKEN) members[codes[k] - step] += o->first[k + 1] - o->first[k];
  }
  int low = 0, high = 256;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    long sum = 0;
    for (int i = 0; i < 256; i++) sum += members[i] * bits_above(middle - i);
    if (sum / 32 + g->n_chunks <= words) low = middle; else high = middle;
  }
  return low;
}

/* First word of each chunk, (n_chunks + 1). */
static void allot(const grid *g, const order *o, const unsigned char *codes, int finest,
                  long *starts)
{
  unsigned char bits[CLASSES];
  starts[0] = 0;
  for (long i = 0; i < g->n_chunks; i++) {
    long sum = 0;
    for (long t = i * CHUNK; t < lesser((i + 1) * CHUNK, g->n_tiles); t++)
      sum += share_bits(o, codes + t * CLASSES, finest, bits);
    starts[i + 1] = starts[i] + (sum + 31) / 32;
  }
}

/* A stream of bits for each lane, filled from below. */
typedef struct {
  uvec word[PARTS];
  unsigned *at;
  int filled;
} stream;

static inline void put(stream *s, const uvec *values, int bits)
{
  for (int h = 0; h < PARTS; h++) s->word[h] |= values[h] << s->filled;
  s->filled += bits;
  if (s->filled >= 32) {
    const int left = s->filled - 32;
    for (int h = 0; h < PARTS; h++) {
      *(loose *) (s->at + h * WIDTH) = s->word[h];
      s->word[h] = left ? values[h] >> (bits - left) : (uvec) { 0 };
    }
    s->at += LANES;
    s->filled = left;
  }
}

/* `filled` counts the bits of the word that are left. */
static inline void take(stream *s, uvec *values, int bits)
{
  const unsigned mask = (1u << bits) - 1;
  if (s->filled >= bits) {
    for (int h = 0; h < PARTS; h++) {
      values[h] = s->word[h] & mask;
      s->word[h] >>= bits;
    }
    s->filled -= bits;
    return;
  }
  const int more = bits - s->filled;
  for (int h = 0; h < PARTS; h++) {
    const uvec next = *(const loose *) (s->at + h * WIDTH);
    values[h] = (s->word[h] | next << s->filled) & mask;
    s->word[h] = next >> more;
  }
  s->at += LANES;
  s->filled = 32 - more;
}

/* Levels are finer near zero, where most coefficients are: value = y (1 + |y|) / 2 for
   y = q / Q, q = -2^(bits - 1) ... 2^(bits - 1) - 1, Q = (2^bits - 1) / 2. */
static void quantise(const order *o, const vec *c, const unsigned char *codes,
                     const unsigned char *bits, int top, stream *s)
{
  for (int k = 0; k < CLASSES; k++) {
    if (!bits[k]) continue;
    const int half = 1 << (bits[k] - 1);
    const float levels = half - 0.5f, scale = 2.0f / amplitude(top - codes[k]);
    for (int j = o->first[k]; j < o->first[k + 1]; j++) {
      uvec values[PARTS];
      for (int h = 0; h < PARTS; h++) {
        const vec x = c[o->place[j] * PARTS + h] * scale;
        const ivec sign = (ivec) x >> 31;
        const vec size = (vec) ((ivec) x & 0x7fffffff) + 0.25f;
        vec root;
        for (int i = 0; i < WIDTH; i++) root[i] = sqrtf(size[i]);
        ivec q = __builtin_convertvector((root - 0.5f) * levels + 0.5f, ivec);
        q = ~greater(~q, sign - half); /* at most half - 1, or half below zero */
        values[h] = (uvec) (((q ^ sign) - sign) + half);
      }
      put(s, values, bits[k]);
    }
  }
}

static void restore(const order *o, vec *c, const unsigned char *codes,
                    const unsigned char *bits, int top, stream *s)
{
  for (int k = 0; k < CLASSES; k++) {
    const float none = codes[k] == BROKEN ? NAN : 0.0f;
    const int half = bits[k] ? 1 << (bits[k] - 1) : 0;
    const float scale = 0.5f * (bits[k] ? amplitude(top - codes[k]) : 0.0f);
    const float spacing = 1.0f / (half - 0.5f);
    for (int j = o->first[k]; j < o->first[k + 1]; j++) {
      vec *to = c + o->place[j] * PARTS;
      uvec values[PARTS];
      if (bits[k]) take(s, values, bits[k]);
      for (int h = 0; h < PARTS; h++)
        if (!bits[k]) to[h] = (vec) { 0 } + none;
        else {
          const vec y = __builtin_convertvector((ivec) values[h] - half, vec) * spacing;
          to[h] = y * (1.0f + (vec) ((ivec) y & 0x7fffffff)) * scale;
        }
    }
  }
}

/* Bytes in front of the words. */
static long front(const long *n)
{
  const grid g = grid_of(n);
  return HEAD + (g.n_tiles * CLASSES + 63) / 64 * 64;
}

/* `loud`: (n_tiles, CLASSES), `starts`: (n_chunks + 1), scratch. */
void encode(const real *slot, const long *n, unsigned char *out, long size, short *loud,
            long *starts, int threads)
{
  const grid g = grid_of(n);
  const order o = by_class();
  const long words = (size - front(n)) / (4 * LANES);
  unsigned char *codes = out + HEAD;
  int head[HEAD / 4] = { 0 };
  memset(out, 0, size);
#pragma omp parallel num_threads(threads)
  {
    const unsigned mode = flush_denormals();
    vec c[COUNT * PARTS] __attribute__((aligned(64)));
    places p;
#pragma omp for schedule(guided)
    for (long t = 0; t < g.n_tiles; t++) {
      find(&g, t, &p);
      if (silent(&p, slot)) {
        for (int k = 0; k < CLASSES; k++) loud[t * CLASSES + k] = 2 * QUIETEST;
        continue;
      }
      gather(&p, slot, (float *) c);
      transform(c);
      measure(&o, c, loud + t * CLASSES);
    }
#pragma omp single
    {
      head[0] = code(loud, codes, g.n_tiles);
      head[1] = finest_steps(&g, &o, codes, words);
      allot(&g, &o, codes, head[1], starts);
    }
#pragma omp for schedule(guided)
    for (long i = 0; i < g.n_chunks; i++) {
      stream s = { .at = (unsigned *) (out + front(n)) + starts[i] * LANES };
      for (long t = i * CHUNK; t < lesser((i + 1) * CHUNK, g.n_tiles); t++) {
        unsigned char bits[CLASSES];
        if (!share_bits(&o, codes + t * CLASSES, head[1], bits)) continue;
        find(&g, t, &p);
        gather(&p, slot, (float *) c);
        transform(c);
        quantise(&o, c, codes + t * CLASSES, bits, head[0], &s);
      }
      for (int h = 0; s.filled && h < PARTS; h++) *(loose *) (s.at + h * WIDTH) = s.word[h];
    }
    restore_denormals(mode);
  }
  memcpy(out, head, HEAD);
}

/* `bits`: (n_tiles, CLASSES), those of each coefficient. */
void allotted(const unsigned char *data, const long *n, unsigned char *bits)
{
  const grid g = grid_of(n);
  const order o = by_class();
  int head[2];
  memcpy(head, data, sizeof head);
  for (long t = 0; t < g.n_tiles * CLASSES; t += CLASSES)
    share_bits(&o, data + HEAD + t, head[1], bits + t);
}

void decode(const unsigned char *data, const long *n, real *slot, long *starts, int threads)
{
  const grid g = grid_of(n);
  const order o = by_class();
  const unsigned char *codes = data + HEAD;
  int head[2];
  memcpy(head, data, sizeof head);
  allot(&g, &o, codes, head[1], starts);
#pragma omp parallel num_threads(threads)
  {
    const unsigned mode = flush_denormals();
    vec c[COUNT * PARTS] __attribute__((aligned(64)));
    places p;
#pragma omp for schedule(guided) /* far from each other: neighbours share cache lines */
    for (long i = 0; i < g.n_chunks; i++) {
      stream s = { .at = (unsigned *) (data + front(n)) + starts[i] * LANES };
      for (long t = i * CHUNK; t < lesser((i + 1) * CHUNK, g.n_tiles); t++) {
        const unsigned char *code = codes + t * CLASSES;
        unsigned char bits[CLASSES];
        find(&g, t, &p);
        if (!share_bits(&o, code, head[1], bits) && code[0] != BROKEN) {
          silence(&p, slot);
          continue;
        }
        restore(&o, c, code, bits, head[0], &s);
        transform_back(c);
        scatter(&p, slot, (const float *) c);
      }
    }
    restore_denormals(mode);
  }
}
