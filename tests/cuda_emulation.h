/* CUDA kernels on a processor: blocks and threads as loops, a barrier as the end of a loop.

   Stands before the emitted source in place of what NVRTC knows by itself. */
#include <math.h>
#include <string.h>

struct dim3 { unsigned x, y, z; };
static thread_local dim3 blockIdx, threadIdx;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
template <typename word> static inline word __ldg(const word *p) { return *p; }

#define DEVICE static inline
#define EACH_BLOCK \
  for (blockIdx.y = 0; blockIdx.y < down; blockIdx.y++) \
    for (blockIdx.x = 0; blockIdx.x < across; blockIdx.x++)
#define EACH_THREAD for (threadIdx.x = 0; threadIdx.x < THREADS; threadIdx.x++)

#define ONE_PHASE(NAME) \
  extern "C" unsigned long NAME(unsigned across, unsigned down, const NAME##_arguments *a) \
  { EACH_BLOCK EACH_THREAD NAME##_cells(*a); return sizeof *a; }

#define TWO_PHASES(NAME) \
  extern "C" unsigned long NAME(unsigned across, unsigned down, const NAME##_arguments *a) \
  { \
    real shared[THREADS]; \
    EACH_BLOCK { \
      EACH_THREAD NAME##_first(*a, shared); \
      EACH_THREAD NAME##_second(*a, shared); \
    } \
    return sizeof *a; \
  }

#define PHASES(NAME, ROOM) \
  extern "C" unsigned long NAME(unsigned across, unsigned down, const NAME##_arguments *a) \
  { \
    static thread_local float shared[ROOM]; \
    EACH_BLOCK { \
      EACH_THREAD NAME##_0(*a, shared); \
      EACH_THREAD NAME##_1(*a, shared); \
      EACH_THREAD NAME##_2(*a, shared); \
      EACH_THREAD NAME##_3(*a, shared); \
      EACH_THREAD NAME##_4(*a, shared); \
      EACH_THREAD NAME##_5(*a, shared); \
      EACH_THREAD NAME##_6(*a, shared); \
    } \
    return sizeof *a; \
  }

static inline void atomicMax(int *p, int value) { *p = value > *p ? value : *p; }
static inline void atomicAdd(int *p, int value) { *p += value; }
