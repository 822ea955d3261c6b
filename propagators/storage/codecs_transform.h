/* Cosine transforms of all blocks of a tile, a block in each lane. */

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
#define PARTS (LANES / WIDTH)

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef int ivec __attribute__((vector_size(4 * WIDTH)));
typedef unsigned uvec __attribute__((vector_size(4 * WIDTH)));
typedef unsigned loose __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

/* sqrt(2 / 8) cos(pi i / 16); a constant row is C4. */
#define C1 0.49039264020161522f
#define C2 0.46193976625564337f
#define C3 0.41573480615127262f
#define C4 0.35355339059327379f
#define C5 0.27778511650980109f
#define C6 0.19134171618254489f
#define C7 0.09754516100806412f

/* Orthonormal DCT-II of eight vectors `step` apart. */
static inline void forward(vec *p, long step)
{
  const vec a0 = p[0] + p[7 * step], b0 = p[0] - p[7 * step];
  const vec a1 = p[step] + p[6 * step], b1 = p[step] - p[6 * step];
  const vec a2 = p[2 * step] + p[5 * step], b2 = p[2 * step] - p[5 * step];
  const vec a3 = p[3 * step] + p[4 * step], b3 = p[3 * step] - p[4 * step];
  const vec e0 = a0 + a3, f0 = a0 - a3, e1 = a1 + a2, f1 = a1 - a2;
  p[0] = C4 * (e0 + e1);
  p[4 * step] = C4 * (e0 - e1);
  p[2 * step] = C2 * f0 + C6 * f1;
  p[6 * step] = C6 * f0 - C2 * f1;
  p[step] = C1 * b0 + C3 * b1 + C5 * b2 + C7 * b3;
  p[3 * step] = C3 * b0 - C7 * b1 - C1 * b2 - C5 * b3;
  p[5 * step] = C5 * b0 - C1 * b1 + C7 * b2 + C3 * b3;
  p[7 * step] = C7 * b0 - C5 * b1 + C3 * b2 - C1 * b3;
}

static inline void inverse(vec *p, long step)
{
  const vec x1 = p[step], x3 = p[3 * step], x5 = p[5 * step], x7 = p[7 * step];
  const vec e0 = C4 * (p[0] + p[4 * step]), e1 = C4 * (p[0] - p[4 * step]);
  const vec f0 = C2 * p[2 * step] + C6 * p[6 * step], f1 = C6 * p[2 * step] - C2 * p[6 * step];
  const vec a0 = e0 + f0, a3 = e0 - f0, a1 = e1 + f1, a2 = e1 - f1;
  const vec b0 = C1 * x1 + C3 * x3 + C5 * x5 + C7 * x7;
  const vec b1 = C3 * x1 - C7 * x3 - C1 * x5 - C5 * x7;
  const vec b2 = C5 * x1 - C1 * x3 + C7 * x5 + C3 * x7;
  const vec b3 = C7 * x1 - C5 * x3 + C3 * x5 - C1 * x7;
  p[0] = a0 + b0;
  p[7 * step] = a0 - b0;
  p[step] = a1 + b1;
  p[6 * step] = a1 - b1;
  p[2 * step] = a2 + b2;
  p[5 * step] = a2 - b2;
  p[3 * step] = a3 + b3;
  p[4 * step] = a3 - b3;
}

#define ALONG_ALL_AXES(transform)                                                              \
  for (long i = 0; i < COUNT / EDGE; i++)                                                      \
    for (long h = 0; h < PARTS; h++) transform(c + i * EDGE * PARTS + h, PARTS);               \
  for (long i = 0; i < DEEP; i++)                                                              \
    for (long h = 0; h < EDGE * PARTS; h++)                                                    \
      transform(c + i * EDGE * EDGE * PARTS + h, EDGE * PARTS);                                \
  if (DEEP == EDGE)                                                                            \
    for (long h = 0; h < EDGE * EDGE * PARTS; h++) transform(c + h, EDGE * EDGE * PARTS);

static void transform(vec *c) { ALONG_ALL_AXES(forward) }
static void transform_back(vec *c) { ALONG_ALL_AXES(inverse) }
