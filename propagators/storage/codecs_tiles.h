/* Blocks of DEEP x EDGE x EDGE values of a slot, by tiles of LANES blocks: value i of block l of a
   tile is at i * LANES + l. */

#define LANES 16
#define EDGE 8
#define COUNT (DEEP * EDGE * EDGE)
#define CHUNK (16384 / (COUNT * LANES)) /* tiles */

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES
#endif
#endif

typedef struct {
  long n[3];        /* values along z, y, x; 1 along z in 2-D */
  long blocks[3];
  long n_tiles, n_chunks;
} grid;

static grid grid_of(const long *n)
{
  grid g;
  const long edge[3] = { DEEP, EDGE, EDGE };
  long count = 1;
  for (int a = 0; a < 3; a++) {
    g.n[a] = n[a];
    g.blocks[a] = (n[a] + edge[a] - 1) / edge[a];
    count *= g.blocks[a];
  }
  g.n_tiles = (count + LANES - 1) / LANES;
  g.n_chunks = (g.n_tiles + CHUNK - 1) / CHUNK;
  return g;
}

/* A block's number along each axis: that of its bundle and that within the bundle. Blocks are
   numbered in bundles of 2 x 2 rows of blocks, in 2-D of 4, along which x grows; so tiles are
   compact. */
typedef struct {
  long z, y, x, in_z, in_y;
} block;

static const long deep_bundle = DEEP > 1 ? 2 : 1, high_bundle = DEEP > 1 ? 2 : 4;

static inline long deep_of(const grid *g, const block *b)
{
  return lesser(deep_bundle, g->blocks[0] - b->z);
}

static inline long high_of(const grid *g, const block *b)
{
  return lesser(high_bundle, g->blocks[1] - b->y);
}

static block numbered(const grid *g, long number)
{
  const long rows = g->blocks[1], columns = g->blocks[2];
  block b = { 0 };
  b.z = number / (deep_bundle * rows * columns) * deep_bundle;
  number -= b.z * rows * columns;
  const long deep = deep_of(g, &b);
  b.y = number / (high_bundle * deep * columns) * high_bundle;
  number -= b.y * deep * columns;
  const long high = high_of(g, &b);
  b.x = number / (deep * high);
  b.in_z = number % deep;
  b.in_y = number / deep % high;
  return b;
}

/* On to the next number. */
static inline void advance(const grid *g, block *b)
{
  if (++b->in_z < deep_of(g, b)) return;
  b->in_z = 0;
  if (++b->in_y < high_of(g, b)) return;
  b->in_y = 0;
  if (++b->x < g->blocks[2]) return;
  b->x = 0;
  b->y += high_bundle;
  if (b->y < g->blocks[1]) return;
  b->y = 0;
  b->z += deep_bundle;
}

/* Where the rows of a tile's blocks start in a slot, and how much of a block lies within it. */
typedef struct {
  long row[LANES][DEEP * EDGE]; /* in this order: gcc 12.2 -O2 miscompiles the transposed stores */
  long wide[LANES], inside[LANES][2]; /* values along x; planes and lines, none behind the last */
} places;

/* Beyond the slot its last row, and behind the last block the last block, is repeated. */
static void find(const grid *g, long tile, places *p)
{
  const long blocks = g->blocks[0] * g->blocks[1] * g->blocks[2];
  block b = numbered(g, tile * LANES);
  for (long l = 0; l < LANES; l++) {
    const long z0 = (b.z + b.in_z) * DEEP, y0 = (b.y + b.in_y) * EDGE, x0 = b.x * EDGE;
    p->inside[l][0] = tile * LANES + l < blocks ? lesser(DEEP, g->n[0] - z0) : 0;
    p->inside[l][1] = lesser(EDGE, g->n[1] - y0);
    p->wide[l] = lesser(EDGE, g->n[2] - x0);
    for (long z = 0; z < DEEP; z++)
      for (long y = 0; y < EDGE; y++) {
        const long plane = lesser(z0 + z, g->n[0] - 1), line = lesser(y0 + y, g->n[1] - 1);
        p->row[l][z * EDGE + y] = (plane * g->n[1] + line) * g->n[2] + x0;
      }
    if (tile * LANES + l + 1 < blocks) advance(g, &b);
  }
}

typedef float eight __attribute__((vector_size(4 * EDGE), may_alias));
typedef real reals
    __attribute__((vector_size(EDGE * sizeof(real)), aligned(sizeof(real)), may_alias));

static inline void transpose(eight *r)
{
#ifdef SHUFFLES
  eight s[EDGE];
  for (int i = 0; i < EDGE; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < EDGE; i += 4)
    for (int j = 0; j < 2; j++) {
      r[i + 2 * j] = __builtin_shufflevector(s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + 2 * j + 1]
          = __builtin_shufflevector(s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < EDGE / 2; i++) {
    s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  memcpy(r, s, sizeof s);
#else
  for (int i = 0; i < EDGE; i++)
    for (int j = 0; j < i; j++) {
      const float x = r[i][j];
      r[i][j] = r[j][i];
      r[j][i] = x;
    }
#endif
}

/* The part of a row that lies within the slot, and its last value again. */
static eight beginning(const real *row, long count)
{
  eight v;
  for (long x = 0; x < EDGE; x++) v[x] = (float) row[lesser(x, count - 1)];
  return v;
}

/* Values of a tile, a block in each lane. */
static void gather(const places *p, const real *slot, float *c)
{
  for (long i = 0; i < DEEP * EDGE; i++)
    for (long l = 0; l < LANES; l += EDGE) {
      eight r[EDGE];
#pragma GCC unroll 8 /* each row a stream of its own to fetch ahead */
      for (long k = 0; k < EDGE; k++) {
        const real *row = slot + p->row[l + k][i];
        r[k] = p->wide[l + k] == EDGE ? __builtin_convertvector(*(const reals *) row, eight)
                                      : beginning(row, p->wide[l + k]);
      }
      transpose(r);
      for (long x = 0; x < EDGE; x++) *(eight *) (c + (i * EDGE + x) * LANES + l) = r[x];
    }
}

static void scatter(const places *p, real *slot, const float *c)
{
  for (long i = 0; i < DEEP * EDGE; i++)
    for (long l = 0; l < LANES; l += EDGE) {
      eight r[EDGE];
      for (long x = 0; x < EDGE; x++) r[x] = *(const eight *) (c + (i * EDGE + x) * LANES + l);
      transpose(r);
#pragma GCC unroll 8
      for (long k = 0; k < EDGE; k++) {
        const long *inside = p->inside[l + k], wide = p->wide[l + k];
        real *row = slot + p->row[l + k][i];
        if (i / EDGE >= inside[0] || i % EDGE >= inside[1]) continue;
        if (wide == EDGE)
          *(reals *) row = __builtin_convertvector(r[k], reals);
        else
          for (long x = 0; x < wide; x++) row[x] = r[k][x];
      }
    }
}

/* Whether a tile holds zeros only, as ahead of a wave: that is known sooner than anything else. */
static int silent(const places *p, const real *slot)
{
  typedef int bits __attribute__((vector_size(4 * EDGE)));
  bits any = { 0 };
  for (long l = 0; l < LANES; l++)
    for (long i = 0; i < DEEP * EDGE; i++) {
      const real *row = slot + p->row[l][i];
      any |= (bits) (p->wide[l] == EDGE ? __builtin_convertvector(*(const reals *) row, eight)
                                        : beginning(row, p->wide[l]));
    }
  int found = 0;
  for (int x = 0; x < EDGE; x++) found |= any[x];
  return (found & 0x7fffffff) == 0;
}

/* Zeros for all values of a tile. */
static void silence(const places *p, real *slot)
{
  for (long l = 0; l < LANES; l++)
    for (long i = 0; i < DEEP * EDGE; i++) {
      real *row = slot + p->row[l][i];
      if (i / EDGE >= p->inside[l][0] || i % EDGE >= p->inside[l][1]) continue;
      if (p->wide[l] == EDGE)
        *(reals *) row = (reals) { 0 };
      else
        for (long x = 0; x < p->wide[l]; x++) row[x] = 0;
    }
}
