// zStream: flash attention for few query tokens (decoding, small pieces of a prompt) over a long KV cache.
//
// A tile is the query tokens that see nearly the same cells, times the query heads that share one KV head, so that a cell of K and V is
// read and converted once for all of them. Cells that none of a tile's tokens sees are left out one by one, not block by block: in a
// cache that several sequences share, a token costs what its own sequence is long. Queries lie in the lanes of the vectors: K needs no
// transposing, and the soft maximum no horizontal steps. Where they are too few for that (one token of a model whose KV heads serve one to
// three query heads), cells lie in the lanes instead. Work is dealt out as (KV head, tile), and where these are too few for the
// threads also as chunks of the cache, whose partial results are then joined. All arithmetic is in F32.
//
// What it does not take (takes(), below) goes to ggml's own paths, which are also the reference (use_ref).

#pragma once

#include "ggml.h"

#include <stddef.h>
#include <stdint.h>

enum {
  ZSE_ATTN_CELLS = 96,      // cells of the cache in a block; a multiple of the rows of every score kernel (4, 6, 12)
  ZSE_ATTN_LANES = 32,      // upper bound of the width of a panel of queries
  ZSE_ATTN_MAX_ROWS = 112,  // query rows (tokens x heads) in a tile: its scratch stays in a core's L2
  ZSE_ATTN_MIN_ROWS = 48,   // below that converting K and V begins to weigh
  ZSE_ATTN_MIN_CHUNK = 256,
  ZSE_ATTN_FEW_ROWS = 4,      // up to so many query rows cells lie in the lanes: most would be idle if queries did
  ZSE_ATTN_FAR_BYTES = 2048,  // rows of a cache this far apart are fetched ahead even where they follow each other
};

// Whether the graph's abort callback says so by now. ggml asks it between nodes only, and at depth this one takes tens of milliseconds. Once
// it has said yes it must stay with it until the graph has ended, which an attention never does: the node after it is not computed.
#ifdef __cplusplus
extern "C"
#endif
    bool zse_abort_wanted(const struct ggml_threadpool* threadpool);

// How one GGML_OP_FLASH_ATTN_EXT is cut up. Every thread computes the same plan.
struct zse_attention_plan {
  int64_t heads;     // query heads that share a KV head
  int64_t tokens;    // query tokens in a tile
  int64_t tiles;     // tiles that make up all query tokens
  int64_t chunks;    // chunks of the cache
  int64_t items;     // pieces of work: sequences x KV heads x tiles x chunks
  int64_t scratch;   // floats of scratch for one thread
  int64_t partials;  // floats for partial results, after all threads' scratch
};

static inline struct zse_attention_plan zse_attention_make_plan(const struct ggml_tensor* dst, int n_threads) {
  const struct ggml_tensor* q = dst->src[0];
  const struct ggml_tensor* k = dst->src[1];
  const struct ggml_tensor* v = dst->src[2];
  const int64_t DK = k->ne[0], DV = v->ne[0], n_cells = k->ne[1], n_tokens = q->ne[1];

  struct zse_attention_plan plan;
  plan.heads = q->ne[2] / k->ne[2];
  plan.tokens = ZSE_ATTN_MAX_ROWS / plan.heads;
  if (plan.tokens < 1) {
    plan.tokens = 1;
  }
  const int64_t pairs = k->ne[2] * q->ne[3];
  while ((n_tokens + plan.tokens - 1) / plan.tokens * pairs < 4 * n_threads && plan.tokens > 1 &&
         (plan.tokens + 1) / 2 * plan.heads >= ZSE_ATTN_MIN_ROWS) {
    plan.tokens = (plan.tokens + 1) / 2;
  }
  plan.tiles = (n_tokens + plan.tokens - 1) / plan.tokens;
  plan.tokens = (n_tokens + plan.tiles - 1) / plan.tiles;  // tiles of one size
  plan.tiles = (n_tokens + plan.tokens - 1) / plan.tokens;

  plan.chunks = 1;
  const int64_t pieces = pairs * plan.tiles;
  while (pieces * plan.chunks < 4 * n_threads && pieces * plan.chunks % n_threads != 0 &&
         n_cells / (plan.chunks + 1) >= ZSE_ATTN_MIN_CHUNK) {
    plan.chunks++;
  }
  plan.items = pieces * plan.chunks;

  const int64_t rows = plan.tokens * plan.heads;
  const int64_t lanes = (rows + ZSE_ATTN_LANES - 1) / ZSE_ATTN_LANES * ZSE_ATTN_LANES;
  plan.scratch = lanes * (DK + 3) + rows * DV + ZSE_ATTN_CELLS * (2 * ZSE_ATTN_LANES + DK + DV + 1);
  plan.scratch = (plan.scratch + 31) / 32 * 32;
  plan.partials = plan.chunks > 1 ? plan.chunks * n_tokens * q->ne[2] * q->ne[3] * (DV + 2) : 0;
  return plan;
}

// bytes of work buffer
static inline size_t zse_attention_work_size(const struct ggml_tensor* dst, int n_threads) {
  const struct zse_attention_plan plan = zse_attention_make_plan(dst, n_threads);
  return sizeof(float) * (size_t)(n_threads * plan.scratch + plan.partials);
}

#if defined(__cplusplus) && defined(GGML_SIMD) && !defined(__ARM_FEATURE_SVE) && !defined(__riscv_v_intrinsic)

namespace zse_attention {

constexpr int EPR = GGML_F32_EPR;
constexpr int WIDE = EPR == 4 ? 4 : 2;  // vectors in a panel of queries
constexpr int NARROW = WIDE / 2;        // vectors in the last panel, if that is enough
static_assert(WIDE * EPR <= ZSE_ATTN_LANES, "a panel is as wide as the plan reserves");

// Vectors along j: C[i][j] (+)= sum over kk of A[i*a_row + kk*a_k] * B[kk*b_k + j]
template <int RM, int RN, bool ADD>
static inline void kernel(float* C, int64_t c_row, const float* A, int64_t a_row, int64_t a_k, const float* B, int64_t b_k,
                          int64_t K) {
  GGML_F32_VEC acc[RM][RN];
  for (int i = 0; i < RM; i++) {
    for (int r = 0; r < RN; r++) {
      acc[i][r] = ADD ? GGML_F32_VEC_LOAD(C + i * c_row + r * EPR) : GGML_F32_VEC_SET1(0.0f);
    }
  }
  for (int64_t kk = 0; kk < K; kk++) {
    GGML_F32_VEC b[RN];
    for (int r = 0; r < RN; r++) {
      b[r] = GGML_F32_VEC_LOAD(B + kk * b_k + r * EPR);
    }
    for (int i = 0; i < RM; i++) {
      const GGML_F32_VEC a = GGML_F32_VEC_SET1(A[i * a_row + kk * a_k]);
      for (int r = 0; r < RN; r++) {
        acc[i][r] = GGML_F32_VEC_FMA(acc[i][r], b[r], a);
      }
    }
  }
  for (int i = 0; i < RM; i++) {
    for (int r = 0; r < RN; r++) {
      GGML_F32_VEC_STORE(C + i * c_row + r * EPR, acc[i][r]);
    }
  }
}

// S[cell][lane] = K[cell] . Q[lane]; computes up to RM - 1 cells more than asked, so K and S have room for them
template <int NV>
static void scores(float* S, const float* K, const float* Q, int64_t DK, int n_cells) {
  constexpr int RM = NV == 1 ? 12 : NV == 2 ? 6 : 4;
  static_assert(ZSE_ATTN_CELLS % RM == 0, "a block has room for whole kernels");
  for (int c = 0; c < n_cells; c += RM) {
    kernel<RM, NV, false>(S + c * NV * EPR, NV * EPR, K + c * DK, DK, 1, Q, NV * EPR, DK);
  }
}

// Rows of K or V for the kernels of few query rows: F16 is converted as it is read, everything else was before.
struct F32Rows {
  const float* first;
  int64_t n;
  const float* row(int cell) const { return first + cell * n; }
  static GGML_F32_VEC load(const float* at) { return GGML_F32_VEC_LOAD(at); }
  static float one(const float* at) { return *at; }
};

#if defined(__AVX__) && defined(__F16C__)
#define ZSE_ATTN_READS_F16
struct F16Rows {
  const char* base;
  size_t bytes;
  const int32_t* cells;
  const ggml_fp16_t* row(int cell) const { return (const ggml_fp16_t*)(base + cells[cell] * bytes); }
#if defined(__AVX512F__)
  static GGML_F32_VEC load(const ggml_fp16_t* at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)at)); }
#else
  static GGML_F32_VEC load(const ggml_fp16_t* at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)at)); }
#endif
  static float one(const ggml_fp16_t* at) { return GGML_CPU_FP16_TO_FP32(*at); }
};
#endif

// out[i] = sum over the lanes of x[i]
static inline void sum_lanes(float* out, const GGML_F32_VEC x[4]) {
#if defined(__AVX__) && !defined(__AVX512F__)
  const __m256 sums = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
#else
  for (int i = 0; i < 4; i++) {
    float lanes[EPR], sum = 0.0f;
    GGML_F32_VEC_STORE(lanes, x[i]);
    for (int l = 0; l < EPR; l++) {
      sum += lanes[l];
    }
    out[i] = sum;
  }
#endif
}

// S[row][cell] = K[cell] . Q[row], rows of S being ZSE_ATTN_CELLS apart
template <int RN, class Rows>
static void scores_few(float* S, const Rows& K, const float* Q, int64_t DK, int n_cells) {
  for (int c = 0; c < n_cells; c += 4) {
    GGML_F32_VEC acc[RN][4];
    for (int r = 0; r < RN; r++) {
      for (int i = 0; i < 4; i++) {
        acc[r][i] = GGML_F32_VEC_SET1(0.0f);
      }
    }
    decltype(K.row(0)) k[4];
    for (int i = 0; i < 4; i++) {
      k[i] = K.row(std::min(c + i, n_cells - 1));
    }
    int64_t d = 0;
    for (; d + EPR <= DK; d += EPR) {
      for (int i = 0; i < 4; i++) {
        const GGML_F32_VEC kd = Rows::load(k[i] + d);
        for (int r = 0; r < RN; r++) {
          acc[r][i] = GGML_F32_VEC_FMA(acc[r][i], kd, GGML_F32_VEC_LOAD(Q + r * DK + d));
        }
      }
    }
    for (int r = 0; r < RN; r++) {
      float* s = S + r * ZSE_ATTN_CELLS + c;  // a block has room for whole fours
      sum_lanes(s, acc[r]);
      for (int64_t rest = d; rest < DK; rest++) {
        for (int i = 0; i < 4; i++) {
          s[i] += Rows::one(k[i] + rest) * Q[r * DK + rest];
        }
      }
    }
  }
}

// O[row] += sum over cells of P[row][cell] * V[cell]
template <int RN, int NV, class Rows>
static void add_values_few(float* O, const float* P, const Rows& V, int64_t DV, int64_t j, int n_cells) {
  GGML_F32_VEC acc[RN][NV];
  for (int r = 0; r < RN; r++) {
    for (int i = 0; i < NV; i++) {
      acc[r][i] = GGML_F32_VEC_LOAD(O + r * DV + j + i * EPR);
    }
  }
  for (int c = 0; c < n_cells; c++) {
    const auto* v = V.row(c) + j;
    GGML_F32_VEC x[NV];
    for (int i = 0; i < NV; i++) {
      x[i] = Rows::load(v + i * EPR);
    }
    for (int r = 0; r < RN; r++) {
      const GGML_F32_VEC weight = GGML_F32_VEC_SET1(P[r * ZSE_ATTN_CELLS + c]);
      for (int i = 0; i < NV; i++) {
        acc[r][i] = GGML_F32_VEC_FMA(acc[r][i], x[i], weight);
      }
    }
  }
  for (int r = 0; r < RN; r++) {
    for (int i = 0; i < NV; i++) {
      GGML_F32_VEC_STORE(O + r * DV + j + i * EPR, acc[r][i]);
    }
  }
}

template <int RN, class Rows>
static void add_values_few(float* O, const float* P, const Rows& V, int64_t DV, int n_cells) {
  constexpr int NV = RN == 1 ? 8 : RN == 2 ? 4 : 3;
  int64_t j = 0;
  for (; j + NV * EPR <= DV; j += NV * EPR) {
    add_values_few<RN, NV>(O, P, V, DV, j, n_cells);
  }
  for (; j < DV; j += EPR) {
    add_values_few<RN, 1>(O, P, V, DV, j, n_cells);
  }
}

template <int RM>
static void add_values_rows(float* O, const float* P, int64_t lanes, const float* V, int64_t DV, int n_cells) {
  int64_t j = 0;
  for (; j + 2 * EPR <= DV; j += 2 * EPR) {
    kernel<RM, 2, true>(O + j, DV, P, 1, lanes, V + j, DV, n_cells);
  }
  for (; j < DV; j += EPR) {
    kernel<RM, 1, true>(O + j, DV, P, 1, lanes, V + j, DV, n_cells);
  }
}

// O[row] += sum over cells of P[cell][row] * V[cell], rows in equal groups of up to six
static void add_values(float* O, const float* P, int64_t lanes, const float* V, int64_t DV, int n_rows, int n_cells) {
  const int groups = (n_rows + 5) / 6;
  for (int g = 0, row = 0; g < groups; g++) {
    const int n = (n_rows - row) / (groups - g);
    float* o = O + row * DV;
    const float* p = P + row;
    switch (n) {
      case 1: add_values_rows<1>(o, p, lanes, V, DV, n_cells); break;
      case 2: add_values_rows<2>(o, p, lanes, V, DV, n_cells); break;
      case 3: add_values_rows<3>(o, p, lanes, V, DV, n_cells); break;
      case 4: add_values_rows<4>(o, p, lanes, V, DV, n_cells); break;
      case 5: add_values_rows<5>(o, p, lanes, V, DV, n_cells); break;
      case 6: add_values_rows<6>(o, p, lanes, V, DV, n_cells); break;
    }
    row += n;
  }
}

// x[i] = exp(x[i]); n is a multiple of the vector's width
static inline void exp_lanes(float* x, int64_t n) {
#if (defined(__AVX512F__) && defined(__AVX512DQ__)) || (!defined(__AVX512F__) && defined(__AVX2__) && defined(__FMA__)) || \
    (defined(__ARM_NEON) && defined(__aarch64__))
  for (int64_t i = 0; i < n; i += EPR) {
    GGML_F32_VEC_STORE(x + i, ggml_v_expf(GGML_F32_VEC_LOAD(x + i)));
  }
#else
  ggml_vec_soft_max_f32((int)n, x, x, 0.0f);
#endif
}

struct Op {
  const ggml_tensor* q;
  const ggml_tensor* k;
  const ggml_tensor* v;
  const ggml_tensor* mask;
  const ggml_tensor* sinks;
  ggml_tensor* dst;
  int64_t DK, DV, heads;
  float scale, softcap;
  float slope_base[2];
  uint32_t slope_heads;  // 0: no ALiBi
  ggml_to_float_t k_to_float, v_to_float;

  float slope(int64_t head) const {
    if (slope_heads == 0) {
      return 1.0f;
    }
    return head < slope_heads ? powf(slope_base[0], head + 1) : powf(slope_base[1], 2 * (head - slope_heads) + 1);
  }
  const ggml_fp16_t* mask_row(int64_t token, int64_t seq) const {
    return (const ggml_fp16_t*)((const char*)mask->data + token * mask->nb[1] + (seq % mask->ne[3]) * mask->nb[3]);
  }
};

static Op make_op(ggml_tensor* dst) {
  Op op{};
  op.q = dst->src[0];
  op.k = dst->src[1];
  op.v = dst->src[2];
  op.mask = dst->src[3];
  op.sinks = dst->src[4];
  op.dst = dst;
  op.DK = op.k->ne[0];
  op.DV = op.v->ne[0];
  op.heads = op.q->ne[2] / op.k->ne[2];
  float max_bias;
  memcpy(&op.scale, (const float*)dst->op_params + 0, sizeof(float));
  memcpy(&max_bias, (const float*)dst->op_params + 1, sizeof(float));
  memcpy(&op.softcap, (const float*)dst->op_params + 2, sizeof(float));
  if (op.softcap != 0.0f) {
    op.scale /= op.softcap;
  }
  if (max_bias > 0.0f) {
    op.slope_heads = 1u << (uint32_t)floor(log2(op.q->ne[2]));
    op.slope_base[0] = powf(2.0f, -max_bias / op.slope_heads);
    op.slope_base[1] = powf(2.0f, -max_bias / 2.0f / op.slope_heads);
  }
  op.k_to_float = op.k->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(op.k->type)->to_float;
  op.v_to_float = op.v->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(op.v->type)->to_float;
  return op;
}

static void to_f32(const ggml_tensor* t, ggml_to_float_t convert, const char* row, float* out, int64_t n) {
  if (t->type == GGML_TYPE_F16) {
    ggml_cpu_fp16_to_fp32((const ggml_fp16_t*)row, out, n);
  } else if (convert) {
    convert(row, out, n);
  } else {
    memcpy(out, row, n * sizeof(float));
  }
}

constexpr uint16_t HIDDEN = 0xfc00;  // -inf, the mask of a cell that a token does not see

// A run of query tokens that see nearly the same cells, for one KV head: its queries, and the soft maximum so far.
struct Tile {
  const Op& op;
  int64_t seq, kv_head, first, n_tokens;
  int rows;

  float* q_panels;  // per panel [DK][lanes], of few rows [row][DK]; scaled
  float* out;       // [rows][DV]
  float* max;       // per lane
  float* sum;       // per lane
  float* slopes;    // per lane
  float* p;         // [cells][lanes]: scores, then weights, of one panel; of few rows [row][cells]
  float* bias;      // [cells][lanes]: mask of one panel
  float* k_f32;     // [cells][DK]
  float* v_f32;     // [cells][DV]
  int32_t* cells;   // the block's cells

  const char* k_base;  // of this sequence and KV head
  const char* v_base;
  size_t k_bytes, v_bytes;  // of a row

  Tile(const Op& op, float* scratch, const zse_attention_plan& plan, int64_t seq, int64_t kv_head)
      : op(op), seq(seq), kv_head(kv_head) {
    const int64_t max_rows = plan.tokens * plan.heads;
    const int64_t lanes = (max_rows + ZSE_ATTN_LANES - 1) / ZSE_ATTN_LANES * ZSE_ATTN_LANES;
    auto take = [&](int64_t n) {
      float* at = scratch;
      scratch += n;
      return at;
    };
    q_panels = take(lanes * op.DK);
    k_f32 = take(ZSE_ATTN_CELLS * op.DK);
    p = take(ZSE_ATTN_CELLS * ZSE_ATTN_LANES);
    bias = take(ZSE_ATTN_CELLS * ZSE_ATTN_LANES);
    max = take(lanes);
    sum = take(lanes);
    slopes = take(lanes);
    v_f32 = take(ZSE_ATTN_CELLS * op.DV);
    out = take(max_rows * op.DV);
    cells = (int32_t*)take(ZSE_ATTN_CELLS);
    k_base = (const char*)op.k->data + kv_head * op.k->nb[2] + seq / (op.q->ne[3] / op.k->ne[3]) * op.k->nb[3];
    v_base = (const char*)op.v->data + kv_head * op.v->nb[2] + seq / (op.q->ne[3] / op.v->ne[3]) * op.v->nb[3];
    k_bytes = ggml_row_size(op.k->type, op.DK);
    v_bytes = ggml_row_size(op.v->type, op.DV);
    memset(k_f32, 0, ZSE_ATTN_CELLS * op.DK * sizeof(float));  // rows past the last cell are computed with, and dropped
  }

  static int panel_vectors(int rows_left) { return rows_left <= NARROW * EPR ? NARROW : WIDE; }

  void begin(int64_t first_token, int64_t count) {
    first = first_token;
    n_tokens = count;
    rows = (int)(count * op.heads);
    memset(out, 0, rows * op.DV * sizeof(float));
    if (few()) {
      for (int row = 0; row < rows; row++) {
        max[row] = -INFINITY;
        sum[row] = 0.0f;
        slopes[row] = op.slope(head_of(row));
        const float* src = query(row);
        for (int64_t d = 0; d < op.DK; d++) {
          q_panels[row * op.DK + d] = src[d] * op.scale;
        }
      }
      return;
    }
    int row = 0;
    while (row < rows) {
      const int lanes = panel_vectors(rows - row) * EPR;
      float* panel = q_panels + row * op.DK;
      for (int l = 0; l < lanes; l++) {
        const int r = row + l;
        max[r] = -INFINITY;
        sum[r] = 0.0f;
        slopes[r] = 1.0f;
        if (r >= rows) {
          for (int64_t d = 0; d < op.DK; d++) {
            panel[d * lanes + l] = 0.0f;
          }
          continue;
        }
        slopes[r] = op.slope(head_of(r));
        const float* src = query(r);
        for (int64_t d = 0; d < op.DK; d++) {
          panel[d * lanes + l] = src[d] * op.scale;
        }
      }
      row += lanes;
    }
  }

  bool is_finite() const {
    float zero = 0.0f;  // infinity and NaN times nothing are NaN
    for (int r = 0; r < rows; r++) {
      zero += 0.0f * sum[r];
    }
    for (int64_t i = 0; i < rows * op.DV; i++) {
      zero += 0.0f * out[i];
    }
    return zero == 0.0f;
  }

  int64_t token_of(int row) const { return first + row / op.heads; }
  int64_t head_of(int row) const { return kv_head * op.heads + row % op.heads; }
  bool few() const { return rows <= ZSE_ATTN_FEW_ROWS; }

  const float* query(int row) const {
    return (const float*)((const char*)op.q->data + token_of(row) * op.q->nb[1] + head_of(row) * op.q->nb[2] +
                          seq * op.q->nb[3]);
  }

  void attend(int64_t cell0, int64_t cell1) {
    int n = 0;
    bool masked = false;
    const bool far = op.k->nb[1] >= ZSE_ATTN_FAR_BYTES;
    auto take = [&](int64_t cell) {
      if (far ||
          (n > 0 && cells[n - 1] != cell - 1)) {  // rows that lie apart are no pattern that the processor would follow
        prefetch(k_row(cell), k_bytes);
        prefetch(v_row(cell), v_bytes);
      }
      cells[n++] = (int32_t)cell;
      if (n == ZSE_ATTN_CELLS) {
        block(n, masked);
        n = 0;
        masked = false;
      }
    };
    if (!op.mask) {
      for (int64_t cell = cell0; cell < cell1; cell++) {
        take(cell);
      }
    }
    for (int64_t base = cell0; op.mask && base < cell1; base += 64) {
      const int width = (int)std::min<int64_t>(64, cell1 - base);
      uint16_t seen[64] = {}, any_bias[64] = {};
      for (int64_t t = 0; t < n_tokens; t++) {
        const uint16_t* m = (const uint16_t*)op.mask_row(first + t, seq) + base;
        for (int i = 0; i < width; i++) {
          seen[i] |= m[i] ^ HIDDEN;
          any_bias[i] |= m[i];
        }
      }
      for (int i = 0; i < 64; i += 4) {
        uint64_t four;
        memcpy(&four, seen + i, sizeof(four));
        if (!four) {
          continue;
        }
        for (int j = i; j < i + 4; j++) {
          if (!seen[j]) {
            continue;
          }
          masked |= any_bias[j] != 0;
          take(base + j);
        }
      }
    }
    if (n > 0) {
      block(n, masked);
    }
  }

  const char* k_row(int64_t cell) const { return k_base + cell * op.k->nb[1]; }
  const char* v_row(int64_t cell) const { return v_base + cell * op.v->nb[1]; }

  static void prefetch(const char* row, size_t bytes) {
#if defined(__GNUC__) || defined(__clang__)
    for (size_t i = 0; i < bytes; i += 64) {
      __builtin_prefetch(row + i);
    }
#else
    GGML_UNUSED(row);
    GGML_UNUSED(bytes);
#endif
  }

  void block(int n, bool masked) {
#ifdef ZSE_ATTN_READS_F16
    if (few() && op.k->type == GGML_TYPE_F16 && op.v->type == GGML_TYPE_F16) {
      few_rows(F16Rows{k_base, op.k->nb[1], cells}, F16Rows{v_base, op.v->nb[1], cells}, n, masked);
      return;
    }
#endif
    for (int c = 0; c < n; c++) {
      to_f32(op.k, op.k_to_float, k_row(cells[c]), k_f32 + c * op.DK, op.DK);
      to_f32(op.v, op.v_to_float, v_row(cells[c]), v_f32 + c * op.DV, op.DV);
    }
    if (few()) {
      few_rows(F32Rows{k_f32, op.DK}, F32Rows{v_f32, op.DV}, n, masked);
      return;
    }
    for (int row = 0; row < rows;) {
      if (panel_vectors(rows - row) == WIDE) {
        panel<WIDE>(row, n, masked);
        row += WIDE * EPR;
      } else {
        panel<NARROW>(row, n, masked);
        row += NARROW * EPR;
      }
    }
  }

  template <int NV>
  void panel(int row, int n, bool masked) {
    constexpr int L = NV * EPR;
    scores<NV>(p, k_f32, q_panels + row * op.DK, op.DK, n);
    if (op.softcap != 0.0f) {
      ggml_vec_tanh_f32(n * L, p, p);
      ggml_vec_scale_f32(n * L, p, op.softcap);
    }
    if (masked) {
      fill_bias(row, n, L);
      for (int i = 0; i < n * L; i++) {
        p[i] += bias[i];
      }
    }

    float top[L], shift[L], total[L];
    for (int l = 0; l < L; l++) {
      top[l] = max[row + l];
    }
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < L; l++) {
        top[l] = top[l] > p[c * L + l] ? top[l] : p[c * L + l];
      }
    }
    const int n_rows = std::min(rows - row, L);
    for (int l = 0; l < n_rows; l++) {
      if (top[l] > max[row + l]) {
        const float down = expf(max[row + l] - top[l]);
        sum[row + l] *= down;
        ggml_vec_scale_f32((int)op.DV, out + (row + l) * op.DV, down);
        max[row + l] = top[l];
      }
    }
    for (int l = 0; l < L; l++) {
      shift[l] = top[l] == -INFINITY ? 0.0f : top[l];
      total[l] = 0.0f;
    }
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < L; l++) {
        p[c * L + l] -= shift[l];
      }
    }
    exp_lanes(p, n * L);
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < L; l++) {
        total[l] += p[c * L + l];
      }
    }
    for (int l = 0; l < L; l++) {
      sum[row + l] += total[l];
    }
    add_values(out + row * op.DV, p, L, v_f32, op.DV, n_rows, n);
  }

  template <class Rows>
  void few_rows(const Rows& K, const Rows& V, int n, bool masked) {
    for (int row = 0; row < rows;) {
      const int group = rows == 4 ? 2 : rows;
      switch (group) {
        case 1: few_rows<1>(row, K, V, n, masked); break;
        case 2: few_rows<2>(row, K, V, n, masked); break;
        case 3: few_rows<3>(row, K, V, n, masked); break;
      }
      row += group;
    }
  }

  template <int RN, class Rows>
  void few_rows(int first_row, const Rows& K, const Rows& V, int n, bool masked) {
    scores_few<RN>(p, K, q_panels + first_row * op.DK, op.DK, n);
    const int whole = (n + EPR - 1) / EPR * EPR;
    for (int row = first_row; row < first_row + RN; row++) {
      float* s = p + (row - first_row) * ZSE_ATTN_CELLS;
      if (op.softcap != 0.0f) {
        ggml_vec_tanh_f32(n, s, s);
        ggml_vec_scale_f32(n, s, op.softcap);
      }
      if (masked) {
        const ggml_fp16_t* m = op.mask_row(token_of(row), seq);
        for (int c = 0; c < n; c++) {
          s[c] += slopes[row] * GGML_CPU_FP16_TO_FP32(m[cells[c]]);
        }
      }
      float top = max[row];
      for (int c = 0; c < n; c++) {
        top = top > s[c] ? top : s[c];
      }
      if (top > max[row]) {
        const float down = expf(max[row] - top);
        sum[row] *= down;
        ggml_vec_scale_f32((int)op.DV, out + row * op.DV, down);
        max[row] = top;
      }
      const float shift = top == -INFINITY ? 0.0f : top;
      for (int c = 0; c < n; c++) {
        s[c] -= shift;
      }
      for (int c = n; c < whole; c++) {
        s[c] = -INFINITY;
      }
      exp_lanes(s, whole);
      float total = 0.0f;
      for (int c = 0; c < n; c++) {
        total += s[c];
      }
      sum[row] += total;
    }
    add_values_few<RN>(out + first_row * op.DV, p, V, op.DV, n);
  }

  void fill_bias(int row, int n, int lanes) {
    for (int l = 0; l < lanes; l++) {
      const int r = row + l;
      if (r >= rows) {
        for (int c = 0; c < n; c++) {
          bias[c * lanes + l] = 0.0f;
        }
      } else if (l > 0 && op.slope_heads == 0 && token_of(r) == token_of(r - 1)) {
        for (int c = 0; c < n; c++) {
          bias[c * lanes + l] = bias[c * lanes + l - 1];
        }
      } else {
        const ggml_fp16_t* m = op.mask_row(token_of(r), seq);
        for (int c = 0; c < n; c++) {
          bias[c * lanes + l] = slopes[r] * GGML_CPU_FP16_TO_FP32(m[cells[c]]);
        }
      }
    }
  }
};

// Writes one row of the result: out is the sum of weighted values, of which this takes the mean.
static void write_row(const Op& op, int64_t seq, int64_t token, int64_t head, float* out, float max, float sum) {
  if (op.sinks) {
    const float s = ((const float*)op.sinks->data)[head];
    if (s > max) {
      const float down = expf(max - s);
      ggml_vec_scale_f32((int)op.DV, out, down);
      sum = sum * down + 1.0f;
    } else {
      sum += expf(s - max);
    }
  }
  ggml_vec_scale_f32((int)op.DV, out, sum == 0.0f ? 0.0f : 1.0f / sum);
  const ggml_tensor* dst = op.dst;
  memcpy((char*)dst->data + (seq * dst->ne[2] * dst->ne[1] + head + token * dst->ne[1]) * dst->nb[1], out,
         op.DV * sizeof(float));
}

// How many of the tokens from `first` on see nearly the same cells as their neighbour: they go into one tile.
static int64_t alike(const Op& op, int64_t seq, int64_t first, int64_t end, int64_t cell0, int64_t cell1) {
  if (!op.mask) {
    return end - first;
  }
  int64_t token = first + 1;
  for (; token < end; token++) {
    const uint16_t* a = (const uint16_t*)op.mask_row(token - 1, seq);
    const uint16_t* b = (const uint16_t*)op.mask_row(token, seq);
    int64_t seen = 0, different = 0;
    for (int64_t base = cell0; base < cell1; base += 4096) {
      const int64_t stop = std::min(base + 4096, cell1);
      uint16_t s = 0, d = 0;
      for (int64_t c = base; c < stop; c++) {
        s += (uint16_t)(a[c] != HIDDEN);
        d += (uint16_t)((a[c] != HIDDEN) != (b[c] != HIDDEN));
      }
      seen += s;
      different += d;
    }
    if (2 * different > seen + 64) {
      break;
    }
  }
  return token - first;
}

static void compute_item(const ggml_compute_params* params, const Op& op, const zse_attention_plan& plan, float* partials,
                         int64_t item) {
  const int64_t chunk = item % plan.chunks;
  const int64_t tile_no = item / plan.chunks % plan.tiles;
  const int64_t kv_head = item / plan.chunks / plan.tiles % op.k->ne[2];
  const int64_t seq = item / plan.chunks / plan.tiles / op.k->ne[2];
  const int64_t n_cells = op.k->ne[1];
  const int64_t cell0 = n_cells * chunk / plan.chunks, cell1 = n_cells * (chunk + 1) / plan.chunks;
  const int64_t end = std::min((tile_no + 1) * plan.tokens, op.q->ne[1]);

  Tile tile(op, (float*)params->wdata + params->ith * plan.scratch, plan, seq, kv_head);
  auto attend = [&](int64_t first, int64_t count) {
    tile.begin(first, count);
    tile.attend(cell0, cell1);
  };
  auto write = [&] {
    for (int r = 0; r < tile.rows; r++) {
      const int64_t token = tile.token_of(r), head = tile.head_of(r);
      float* out = tile.out + r * op.DV;
      if (plan.chunks == 1) {
        write_row(op, seq, token, head, out, tile.max[r], tile.sum[r]);
        continue;
      }
      float* partial = partials + (((seq * op.q->ne[1] + token) * op.q->ne[2] + head) * plan.chunks + chunk) * (op.DV + 2);
      partial[0] = tile.max[r];
      partial[1] = tile.sum[r];
      memcpy(partial + 2, out, op.DV * sizeof(float));
    }
  };
  for (int64_t first = tile_no * plan.tokens; first < end;) {
    const int64_t count = alike(op, seq, first, end, cell0, cell1);
    attend(first, count);
    if (count == 1 || tile.is_finite()) {
      write();
    } else {
      // A cell that only some of the tokens see is computed with for all: if it holds no numbers, the others must not get to know.
      for (int64_t t = first; t < first + count; t++) {
        attend(t, 1);
        write();
      }
    }
    first += count;
  }
}

static void join_chunks(const ggml_compute_params* params, const Op& op, const zse_attention_plan& plan, float* partials) {
  const int64_t heads = op.q->ne[2], tokens = op.q->ne[1], rows = heads * tokens * op.q->ne[3];
  for (int64_t row = rows * params->ith / params->nth; row < rows * (params->ith + 1) / params->nth; row++) {
    float* partial = partials + row * plan.chunks * (op.DV + 2);
    float max = -INFINITY, sum = 0.0f;
    for (int64_t c = 0; c < plan.chunks; c++) {
      max = std::max(max, partial[c * (op.DV + 2)]);
    }
    float* out = partial + 2;  // of the first chunk
    for (int64_t c = 0; c < plan.chunks; c++) {
      float* other = partial + c * (op.DV + 2);
      const float down = other[0] == -INFINITY ? 0.0f : expf(other[0] - max);
      sum += down * other[1];
      if (c == 0) {
        ggml_vec_scale_f32((int)op.DV, out, down);
      } else {
        ggml_vec_mad_f32((int)op.DV, out, other + 2, down);
      }
    }
    write_row(op, row / heads / tokens, row / heads % tokens, row % heads, out, max, sum);
  }
}

static bool takes(const ggml_compute_params* params, const ggml_tensor* dst, const zse_attention_plan& plan) {
  const ggml_tensor* q = dst->src[0];
  const ggml_tensor* k = dst->src[1];
  const ggml_tensor* v = dst->src[2];
  const ggml_tensor* mask = dst->src[3];
  if (params->use_ref || q->type != GGML_TYPE_F32 || q->ne[2] % k->ne[2] != 0 || k->ne[2] != v->ne[2]) {
    return false;
  }
  if (k->type != GGML_TYPE_F32 && !ggml_get_type_traits(k->type)->to_float) {
    return false;
  }
  if (v->type != GGML_TYPE_F32 && !ggml_get_type_traits(v->type)->to_float) {
    return false;
  }
  if (q->nb[0] != sizeof(float) || k->nb[0] != ggml_type_size(k->type) || v->nb[0] != ggml_type_size(v->type)) {
    return false;
  }
  if (mask && (mask->type != GGML_TYPE_F16 || mask->nb[0] != sizeof(ggml_fp16_t) || mask->ne[2] != 1)) {
    return false;
  }
  if (v->ne[0] % EPR != 0 || dst->type != GGML_TYPE_F32 || k->ne[1] > INT32_MAX) {
    return false;
  }
  return sizeof(float) * (size_t)(params->nth * plan.scratch + plan.partials) <= params->wsize;
}

// Computes dst, or returns false, in every thread alike, and has done nothing.
static bool compute(const ggml_compute_params* params, ggml_tensor* dst) {
  const zse_attention_plan plan = zse_attention_make_plan(dst, params->nth);
  if (!takes(params, dst, plan)) {
    return false;
  }
  const Op op = make_op(dst);
  float* partials = (float*)params->wdata + params->nth * plan.scratch;

  const bool alike = op.q->ne[1] == 1 && op.q->ne[3] == 1;  // all pieces of work are: no need to deal them out one by one
  if (alike || plan.items <= params->nth) {
    for (int64_t item = params->ith; item < plan.items; item += params->nth) {
      compute_item(params, op, plan, partials, item);
    }
  } else {
    if (params->ith == 0) {
      ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    for (int64_t item = params->ith; item < plan.items; item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
      if (zse_abort_wanted(params->threadpool)) {
        break;
      }  // the graph ends after this node: nobody looks at the result
      compute_item(params, op, plan, partials, item);
    }
  }
  if (plan.chunks > 1) {
    ggml_barrier(params->threadpool);
    join_chunks(params, op, plan, partials);
  }
  return true;
}

}  // namespace zse_attention

#elif defined(__cplusplus)

namespace zse_attention {

// Vectors without a size known to the compiler, or none: ggml's own paths.
static bool compute(const ggml_compute_params*, ggml_tensor*) { return false; }

}  // namespace zse_attention

#endif
