/* Cells of a thread: LANES of them, neighbours along x, in one aligned vector.

   Written before this: `real`, LANES, THREADS of a block, GROUP threads of a point, BLOCKS of a
   multiprocessor, NDIM. A kernel is
   NAME_cells or, around one barrier, NAME_first and NAME_second, or, around six, NAME_0 ... NAME_6
   with shared memory for ROOM floats; a host that emulates them defines
   the macros in its own way. */
#ifndef ONE_PHASE
#define DEVICE __device__ __forceinline__
#define ONE_PHASE(NAME) \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
  NAME(const __grid_constant__ NAME##_arguments a) { NAME##_cells(a); }
#define TWO_PHASES(NAME) \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
  NAME(const __grid_constant__ NAME##_arguments a) \
  { __shared__ real shared[THREADS]; NAME##_first(a, shared); __syncthreads(); NAME##_second(a, shared); }
#define PHASES(NAME, ROOM) \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) \
  NAME(const __grid_constant__ NAME##_arguments a) \
  { \
    __shared__ float shared[ROOM]; \
    NAME##_0(a, shared); __syncthreads(); NAME##_1(a, shared); __syncthreads(); \
    NAME##_2(a, shared); __syncthreads(); NAME##_3(a, shared); __syncthreads(); \
    NAME##_4(a, shared); __syncthreads(); NAME##_5(a, shared); __syncthreads(); \
    NAME##_6(a, shared); \
  }
#endif

struct alignas(LANES * sizeof(real)) vector { real lane[LANES]; };
struct mask { bool lane[LANES]; };

template <int lanes, typename number> struct packed;
template <> struct packed<1, float> { typedef float type; };
template <> struct packed<2, float> { typedef float2 type; };
template <> struct packed<4, float> { typedef float4 type; };
template <> struct packed<1, double> { typedef double type; };
template <> struct packed<2, double> { typedef double2 type; };
typedef packed<LANES, real>::type word;

#define EACH for (int i = 0; i < LANES; i++)
#define OPERATOR(SIGN) \
  DEVICE vector operator SIGN(vector a, vector b) { EACH a.lane[i] = a.lane[i] SIGN b.lane[i]; return a; } \
  DEVICE vector operator SIGN(vector a, real b) { EACH a.lane[i] = a.lane[i] SIGN b; return a; } \
  DEVICE vector operator SIGN(real a, vector b) { EACH b.lane[i] = a SIGN b.lane[i]; return b; }
OPERATOR(+)
OPERATOR(-)
OPERATOR(*)
OPERATOR(/)
DEVICE vector operator-(vector a) { EACH a.lane[i] = -a.lane[i]; return a; }

DEVICE void unpack(vector &v, float w) { v.lane[0] = w; }
DEVICE void unpack(vector &v, double w) { v.lane[0] = w; }
template <typename pair> DEVICE void unpack(vector &v, pair w) { v.lane[0] = w.x; v.lane[1] = w.y; }
DEVICE void unpack(vector &v, float4 w)
{ v.lane[0] = w.x; v.lane[1] = w.y; v.lane[2] = w.z; v.lane[3] = w.w; }

/* What a kernel only reads goes past the stores, whole vectors at a time. */
DEVICE vector load(const real *p)
{
  vector v;
  unpack(v, __ldg(reinterpret_cast<const word *>(p)));
  return v;
}

/* What it also writes does not. */
DEVICE vector load(real *p) { return *reinterpret_cast<vector *>(p); }

/* The vector k cells to the right, from aligned ones. */
template <int k, typename pointer> DEVICE vector moved(pointer p)
{
  constexpr int whole = (k >= 0 ? k : k - LANES + 1) / LANES * LANES;
  constexpr int rest = k - whole;
  const vector left = load(p + whole);
  if constexpr (rest == 0) {
    return left;
  } else {
    const vector right = load(p + whole + LANES);
    vector v;
    EACH v.lane[i] = i + rest < LANES ? left.lane[(i + rest) % LANES] : right.lane[(i + rest) % LANES];
    return v;
  }
}

/* Cells that lie in lo ... hi - 1 are written. */
DEVICE void store(real *p, vector v, int x, int lo, int hi)
{
  if (x >= lo && x + LANES <= hi) {
    *reinterpret_cast<vector *>(p) = v;
  } else {
    EACH if (x + i >= lo && x + i < hi) p[i] = v.lane[i];
  }
}

/* The same, and zeros elsewhere, where nothing is aligned. */
template <typename pointer> DEVICE vector cells(pointer p, int x, int lo, int hi)
{
  vector v = {};
  EACH if (x + i >= lo && x + i < hi) v.lane[i] = p[i];
  return v;
}

DEVICE void store_cells(real *p, vector v, int x, int lo, int hi)
{
  EACH if (x + i >= lo && x + i < hi) p[i] = v.lane[i];
}

DEVICE mask between(int x, int lo, int hi)
{
  mask m;
  EACH m.lane[i] = x + i >= lo && x + i < hi;
  return m;
}

DEVICE vector chosen(mask inside, vector yes, vector no)
{
  EACH yes.lane[i] = inside.lane[i] ? yes.lane[i] : no.lane[i];
  return yes;
}

/* A box of cells, cut into tiles of 2^shift threads along x; in 3-D a tile is a column `chunk` deep. */
struct region {
  int first, step;          /* blocks */
  int shift;
  int across, down, deep;   /* tiles along x, along y (in 2-D z), and along z */
  int chunk;
  int z_lo, z_hi, y_lo, y_hi, x_lo, x_hi;
};

/* The first cell of a thread, and where its column ends. */
struct place { int x, y, z, z_end; };

/* False where a thread has no cell. */
DEVICE bool find(const region &r, place &at)
{
  int tile = ((int) blockIdx.x - r.first) / r.step;
  if (tile >= r.across * r.down * r.deep) return false;
  const int width = 1 << r.shift, thread = threadIdx.x;
  const int line = thread >> r.shift, lines = THREADS >> r.shift;
  at.x = r.x_lo / LANES * LANES + (tile % r.across * width + (thread & (width - 1))) * LANES;
  tile /= r.across;
#if NDIM == 3
  at.y = r.y_lo + tile % r.down * lines + line;
  at.z = r.z_lo + tile / r.down * r.chunk;
  at.z_end = at.z + r.chunk < r.z_hi ? at.z + r.chunk : r.z_hi;
  return at.x < r.x_hi && at.y < r.y_hi;
#else
  at.y = 0;
  at.z = r.z_lo + tile * lines + line;
  at.z_end = at.z + 1;
  return at.x < r.x_hi && at.z < r.z_hi;
#endif
}

/* Time of step k of a stretch, and the slot and strip that it meets. clock: time of its first step, direction,
   stride of the slots, number of the first one in memory. */
DEVICE int time_of(const int *clock, int k) { return clock[0] + clock[1] * k; }
DEVICE int slot_of(const int *clock, int k) { return time_of(clock, k) / clock[2] - clock[3]; }
DEVICE int strip_of(const int *clock, int k) { return time_of(clock, k) - clock[2] * clock[3]; }
