// A tile is the query tokens that see nearly the same cells, times the query heads that share one KV head, so that a cell of K and V is
// read and converted once for all of them. Cells that none of a tile's tokens sees are left out one by one, not block by block: in a
// cache that several sequences share, a token costs what its own sequence is long. Work is dealt out as (KV head, tile), and where these
// are too few for the threads also as chunks of the cache, whose partial results are then joined.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention_vectors.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"

#ifdef ZSE_VECTORS

// Whether the graph's abort callback says so by now: our patch to ggml-cpu.c, which alone knows the callback. ggml asks it between nodes only,
// and at depth this one takes tens of milliseconds. Once it has said yes it must stay with it until the graph has ended, which an
// attention never does: the node after it is not computed.
extern "C" bool zse_abort_wanted(const ggml_threadpool* threadpool);

namespace zse::kernels {

namespace {

constexpr int kMostLanes = 32;  // upper bound of the width of a panel of queries
constexpr int kMostRows = 112;  // query rows (tokens x heads) in a tile: its scratch stays in a core's L2
constexpr int kLeastRows = 48;  // below that converting K and V begins to weigh
constexpr int kLeastChunk = 256;
// Up to so many query rows cells lie in the lanes: most would be idle if queries did. So many of them at once have registers for their sums.
constexpr int kFewRows = kLanes == 16 ? 7 : 4, kGroup = kLanes == 16 ? 6 : 3;
constexpr int kFarBytes = 2048;  // many query rows: cells this far apart are fetched ahead even where they follow each other
constexpr size_t kCacheLine = 64;
constexpr uint16_t kHidden = 0xfc00;  // -inf, the mask of a cell that a token does not see

constexpr int kWide = kLanes == 4 ? 4 : 2;  // vectors in a panel of queries
constexpr int kNarrow = kWide / 2;          // vectors in the last panel, if that is enough
static_assert(kWide * kLanes <= kMostLanes, "a panel is as wide as the plan reserves");

template <class T>
const T* at(const void* base, size_t bytes) {
  return reinterpret_cast<const T*>(static_cast<const char*>(base) + bytes);
}

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How one attention is cut up. Every thread computes the same plan.
struct Plan {
  int64_t heads;     // query heads that share a KV head
  int64_t tokens;    // query tokens in a tile
  int64_t tiles;     // tiles that make up all query tokens
  int64_t chunks;    // chunks of the cache
  int64_t items;     // pieces of work: sequences x KV heads x tiles x chunks
  int64_t scratch;   // floats of scratch for one thread
  int64_t partials;  // floats for partial results, after all threads' scratch

  Plan(const ggml_tensor* result, int n_threads) {
    const ggml_tensor* q = result->src[0];
    const ggml_tensor* k = result->src[1];
    const ggml_tensor* v = result->src[2];
    const int64_t key_size = k->ne[0], value_size = v->ne[0], n_cells = k->ne[1], n_tokens = q->ne[1];

    heads = q->ne[2] / k->ne[2];
    tokens = std::max<int64_t>(1, kMostRows / heads);
    const int64_t pairs = k->ne[2] * q->ne[3];
    while (divide_up(n_tokens, tokens) * pairs < 4 * n_threads && tokens > 1 && (tokens + 1) / 2 * heads >= kLeastRows) {
      tokens = (tokens + 1) / 2;
    }
    tiles = divide_up(n_tokens, tokens);
    tokens = divide_up(n_tokens, tiles);  // tiles of one size
    tiles = divide_up(n_tokens, tokens);

    chunks = 1;
    const int64_t pieces = pairs * tiles;
    while (pieces * chunks < 4 * n_threads && pieces * chunks % n_threads != 0 && n_cells / (chunks + 1) >= kLeastChunk) {
      chunks++;
    }
    items = pieces * chunks;

    scratch = lanes() * (key_size + 3) + rows() * value_size + kBlockCells * (2 * kMostLanes + key_size + value_size + 1);
    scratch = divide_up(scratch, 32) * 32;
    partials = chunks > 1 ? chunks * n_tokens * q->ne[2] * q->ne[3] * (value_size + 2) : 0;
  }

  int64_t rows() const { return tokens * heads; }
  int64_t lanes() const { return divide_up(rows(), kMostLanes) * kMostLanes; }
  size_t work_size(int n_threads) const {
    return sizeof(float) * static_cast<size_t>(n_threads * scratch + partials) + kCacheLine;
  }

  // The work buffer from a cache line's beginning on: vectors that lie across two lines cost a sixth of the time.
  static float* work(const ggml_compute_params* params) {
    return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(params->wdata) + kCacheLine - 1) & ~(kCacheLine - 1));
  }
};

ggml_to_float_t converter(const ggml_tensor* tensor) {
  return tensor->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(tensor->type)->to_float;
}

// The operands of one attention.
struct Operands {
  const ggml_tensor *q, *k, *v, *mask, *sinks;
  ggml_tensor* result;
  int64_t key_size, value_size, heads;
  float scale, softcap;
  float slope_base[2] = {};
  int64_t slope_heads = 0;  // 0: no ALiBi
  ggml_to_float_t k_to_float, v_to_float;

  explicit Operands(ggml_tensor* result)
      : q(result->src[0]),
        k(result->src[1]),
        v(result->src[2]),
        mask(result->src[3]),
        sinks(result->src[4]),
        result(result),
        key_size(k->ne[0]),
        value_size(v->ne[0]),
        heads(q->ne[2] / k->ne[2]),
        k_to_float(converter(k)),
        v_to_float(converter(v)) {
    float max_bias;
    std::memcpy(&scale, result->op_params + 0, sizeof(float));
    std::memcpy(&max_bias, result->op_params + 1, sizeof(float));
    std::memcpy(&softcap, result->op_params + 2, sizeof(float));
    if (softcap != 0.0f) scale /= softcap;
    if (max_bias > 0.0f) {
      slope_heads = int64_t{1} << static_cast<int>(std::floor(std::log2(q->ne[2])));
      slope_base[0] = powf(2.0f, -max_bias / static_cast<float>(slope_heads));
      slope_base[1] = powf(2.0f, -max_bias / 2.0f / static_cast<float>(slope_heads));
    }
  }

  float slope(int64_t head) const {
    if (slope_heads == 0) return 1.0f;
    return head < slope_heads ? powf(slope_base[0], static_cast<float>(head + 1))
                              : powf(slope_base[1], static_cast<float>(2 * (head - slope_heads) + 1));
  }

  const ggml_fp16_t* mask_row(int64_t token, int64_t sequence) const {
    return at<ggml_fp16_t>(mask->data, token * mask->nb[1] + sequence % mask->ne[3] * mask->nb[3]);
  }
};

void to_f32(const ggml_tensor* tensor, ggml_to_float_t convert, const char* row, float* out, int64_t n) {
  if (tensor->type == GGML_TYPE_F16) {
    ggml_cpu_fp16_to_fp32(reinterpret_cast<const ggml_fp16_t*>(row), out, n);
#ifdef ZSE_READS_BLOCKS
  } else if (tensor->type == GGML_TYPE_Q8_0) {
    convert_blocks<block_q8_0>(row, out, n);
  } else if (tensor->type == GGML_TYPE_Q4_0) {
    convert_blocks<block_q4_0>(row, out, n);
#endif
  } else if (convert) {
    convert(row, out, n);
  } else {
    std::memcpy(out, row, n * sizeof(float));
  }
}

// A run of query tokens that see nearly the same cells, for one KV head: its queries, and the soft maximum so far.
struct Tile {
  const Operands& of;
  int64_t sequence, kv_head, first = 0, n_tokens = 0;
  int rows = 0;

  float* queries;  // per panel [key_size][lanes], of few rows [row][key_size]; scaled
  float* out;      // [rows][value_size]
  float* max;      // per lane
  float* sum;      // per lane
  float* slopes;   // per lane
  float* scores;   // [cells][lanes]: scores, then weights, of one panel; of few rows [row][cells]
  float* bias;     // [cells][lanes]: mask of one panel
  float* k_f32;    // [cells][key_size]
  float* v_f32;    // [cells][value_size]
  int32_t* cells;  // the block's cells

  const char *k_base, *v_base;  // of this sequence and KV head
  size_t k_bytes, v_bytes;      // of a row

  Tile(const Operands& of, float* scratch, const Plan& plan, int64_t sequence, int64_t kv_head)
      : of(of), sequence(sequence), kv_head(kv_head) {
    const int64_t lanes = plan.lanes();
    const auto take = [&scratch](int64_t n) {
      float* taken = scratch;
      scratch += n;
      return taken;
    };
    queries = take(lanes * of.key_size);
    k_f32 = take(kBlockCells * of.key_size);
    scores = take(kBlockCells * kMostLanes);
    bias = take(kBlockCells * kMostLanes);
    max = take(lanes);
    sum = take(lanes);
    slopes = take(lanes);
    v_f32 = take(kBlockCells * of.value_size);
    out = take(plan.rows() * of.value_size);
    cells = reinterpret_cast<int32_t*>(take(kBlockCells));
    k_base = at<char>(of.k->data, kv_head * of.k->nb[2] + sequence / (of.q->ne[3] / of.k->ne[3]) * of.k->nb[3]);
    v_base = at<char>(of.v->data, kv_head * of.v->nb[2] + sequence / (of.q->ne[3] / of.v->ne[3]) * of.v->nb[3]);
    k_bytes = ggml_row_size(of.k->type, of.key_size);
    v_bytes = ggml_row_size(of.v->type, of.value_size);
    std::memset(k_f32, 0,
                kBlockCells * of.key_size * sizeof(float));  // rows past the last cell are computed with, and dropped
  }

  bool few() const { return rows <= kFewRows; }
  int64_t token_of(int row) const { return first + row / of.heads; }
  int64_t head_of(int row) const { return kv_head * of.heads + row % of.heads; }
  const char* k_row(int64_t cell) const { return k_base + cell * of.k->nb[1]; }
  const char* v_row(int64_t cell) const { return v_base + cell * of.v->nb[1]; }

  const float* query(int row) const {
    return at<float>(of.q->data, token_of(row) * of.q->nb[1] + head_of(row) * of.q->nb[2] + sequence * of.q->nb[3]);
  }

  static int panel_vectors(int rows_left) { return rows_left <= kNarrow * kLanes ? kNarrow : kWide; }

  void begin(int64_t first_token, int64_t count) {
    first = first_token;
    n_tokens = count;
    rows = static_cast<int>(count * of.heads);
    std::memset(out, 0, rows * of.value_size * sizeof(float));
    if (few()) {
      for (int row = 0; row < rows; row++) {
        max[row] = -INFINITY;
        sum[row] = 0.0f;
        slopes[row] = of.slope(head_of(row));
        const float* from = query(row);
        for (int64_t d = 0; d < of.key_size; d++) queries[row * of.key_size + d] = from[d] * of.scale;
      }
      return;
    }
    int row = 0;
    while (row < rows) {
      const int lanes = panel_vectors(rows - row) * kLanes;
      float* panel = queries + row * of.key_size;
      for (int l = 0; l < lanes; l++) {
        const int r = row + l;
        max[r] = -INFINITY;
        sum[r] = 0.0f;
        slopes[r] = 1.0f;
        if (r >= rows) {
          for (int64_t d = 0; d < of.key_size; d++) panel[d * lanes + l] = 0.0f;
          continue;
        }
        slopes[r] = of.slope(head_of(r));
        const float* from = query(r);
        for (int64_t d = 0; d < of.key_size; d++) panel[d * lanes + l] = from[d] * of.scale;
      }
      row += lanes;
    }
  }

  bool is_finite() const {
    float zero = 0.0f;  // infinity and NaN times nothing are NaN
    for (int r = 0; r < rows; r++) zero += 0.0f * sum[r];
    for (int64_t i = 0; i < rows * of.value_size; i++) zero += 0.0f * out[i];
    return zero == 0.0f;
  }

  // Goes over the cells from `cell0` on, before `cell1`, that any of the tokens sees.
  void attend(int64_t cell0, int64_t cell1) {
    int n = 0;
    bool masked = false;
    const bool far = few() || of.k->nb[1] >= kFarBytes;
    const auto take = [&](int64_t cell) {
      // Rows that lie apart are no pattern that the processor would follow.
      if (far || (n > 0 && cells[n - 1] != cell - 1)) {
        prefetch(k_row(cell), k_bytes);
        prefetch(v_row(cell), v_bytes);
      }
      cells[n++] = static_cast<int32_t>(cell);
      if (n == kBlockCells) {
        block(n, masked);
        n = 0;
        masked = false;
      }
    };
    if (!of.mask) {
      for (int64_t cell = cell0; cell < cell1; cell++) take(cell);
    }
    for (int64_t base = cell0; of.mask && base < cell1; base += 64) {
      const int width = static_cast<int>(std::min<int64_t>(64, cell1 - base));
      uint16_t seen[64] = {}, any_bias[64] = {};
      for (int64_t token = 0; token < n_tokens; token++) {
        const uint16_t* mask = of.mask_row(first + token, sequence) + base;
        for (int i = 0; i < width; i++) {
          seen[i] |= mask[i] ^ kHidden;
          any_bias[i] |= mask[i];
        }
      }
      for (int i = 0; i < 64; i += 4) {
        uint64_t four;
        std::memcpy(&four, seen + i, sizeof(four));
        if (!four) continue;
        for (int j = i; j < i + 4; j++) {
          if (!seen[j]) continue;
          masked |= any_bias[j] != 0;
          take(base + j);
        }
      }
    }
    if (n > 0) block(n, masked);
  }

  static void prefetch([[maybe_unused]] const char* row, [[maybe_unused]] size_t bytes) {
#if defined(__GNUC__) || defined(__clang__)
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(row + i);
#endif
  }

  void block(int n, bool masked) {
#ifdef ZSE_READS_F16
    if (few() && of.k->type == GGML_TYPE_F16 && of.v->type == GGML_TYPE_F16) {
      attend_few(F16Cells{k_base, of.k->nb[1], cells}, F16Cells{v_base, of.v->nb[1], cells}, n, masked);
      return;
    }
#endif
#ifdef ZSE_READS_BLOCKS
    if (few() && of.k->type == GGML_TYPE_Q8_0 && of.v->type == GGML_TYPE_Q8_0) return attend_blocks<block_q8_0>(n, masked);
    if (few() && of.k->type == GGML_TYPE_Q4_0 && of.v->type == GGML_TYPE_Q4_0) return attend_blocks<block_q4_0>(n, masked);
#endif
    for (int c = 0; c < n; c++) {
      to_f32(of.k, of.k_to_float, k_row(cells[c]), k_f32 + c * of.key_size, of.key_size);
      to_f32(of.v, of.v_to_float, v_row(cells[c]), v_f32 + c * of.value_size, of.value_size);
    }
    if (few()) {
      attend_few(F32Cells{k_f32, of.key_size}, F32Cells{v_f32, of.value_size}, n, masked);
      return;
    }
    for (int row = 0; row < rows;) {
      if (panel_vectors(rows - row) == kWide) {
        attend_panel<kWide>(row, n, masked);
        row += kWide * kLanes;
      } else {
        attend_panel<kNarrow>(row, n, masked);
        row += kNarrow * kLanes;
      }
    }
  }

  template <int vectors>
  void attend_panel(int row, int n, bool masked) {
    constexpr int lanes = vectors * kLanes;
    score<vectors>(scores, k_f32, queries + row * of.key_size, of.key_size, n);
    if (of.softcap != 0.0f) {
      ggml_vec_tanh_f32(n * lanes, scores, scores);
      ggml_vec_scale_f32(n * lanes, scores, of.softcap);
    }
    if (masked) {
      fill_bias(row, n, lanes);
      for (int i = 0; i < n * lanes; i++) scores[i] += bias[i];
    }

    float top[lanes], shift[lanes], total[lanes];
    for (int l = 0; l < lanes; l++) top[l] = max[row + l];
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) top[l] = top[l] > scores[c * lanes + l] ? top[l] : scores[c * lanes + l];
    }
    const int n_rows = std::min(rows - row, lanes);
    for (int l = 0; l < n_rows; l++) {
      if (top[l] > max[row + l]) lower(row + l, top[l]);
    }
    for (int l = 0; l < lanes; l++) {
      shift[l] = top[l] == -INFINITY ? 0.0f : top[l];
      total[l] = 0.0f;
    }
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) scores[c * lanes + l] -= shift[l];
    }
    exponentiate(scores, n * lanes);
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) total[l] += scores[c * lanes + l];
    }
    for (int l = 0; l < lanes; l++) sum[row + l] += total[l];
    add_values(out + row * of.value_size, scores, lanes, v_f32, of.value_size, n_rows, n);
  }

#ifdef ZSE_READS_BLOCKS
  template <class Block>
  void attend_blocks(int n, bool masked) {
    attend_few(BlockCells<Block>{k_base, of.k->nb[1], cells}, BlockCells<Block>{v_base, of.v->nb[1], cells}, n, masked);
  }
#endif

  template <class Cells>
  void attend_few(const Cells& keys, const Cells& values, int n, bool masked) {
    for (int row = 0, groups = (rows + kGroup - 1) / kGroup; groups > 0; groups--) {
      const int group = (rows - row) / groups;
      attend_group<kGroup>(group, row, keys, values, n, masked);
      row += group;
    }
  }

  template <int most, class Cells>
  void attend_group(int group, int row, const Cells& keys, const Cells& values, int n, bool masked) {
    if (group == most) {
      attend_few<most>(row, keys, values, n, masked);
    } else if constexpr (most > 1) {
      attend_group<most - 1>(group, row, keys, values, n, masked);
    }
  }

  template <int group, class Cells>
  void attend_few(int first_row, const Cells& keys, const Cells& values, int n, bool masked) {
    score_few<group>(scores, keys, queries + first_row * of.key_size, of.key_size, n);
    const int whole = (n + kLanes - 1) / kLanes * kLanes;
    for (int row = first_row; row < first_row + group; row++) {
      float* s = scores + (row - first_row) * kBlockCells;
      if (of.softcap != 0.0f) {
        ggml_vec_tanh_f32(n, s, s);
        ggml_vec_scale_f32(n, s, of.softcap);
      }
      if (masked) {
        const ggml_fp16_t* mask = of.mask_row(token_of(row), sequence);
        for (int c = 0; c < n; c++) s[c] += slopes[row] * GGML_CPU_FP16_TO_FP32(mask[cells[c]]);
      }
      for (int c = n; c < whole; c++) s[c] = -INFINITY;
      // For each lane: at a single one each step would wait for the one before.
      float tops[kLanes], totals[kLanes] = {};
      float top = max[row], total = 0.0f;
      for (float& one : tops) one = top;
      for (int c = 0; c < whole; c += kLanes) {
        for (int l = 0; l < kLanes; l++) tops[l] = tops[l] > s[c + l] ? tops[l] : s[c + l];
      }
      for (const float one : tops) top = top > one ? top : one;
      if (top > max[row]) lower(row, top);
      const float shift = top == -INFINITY ? 0.0f : top;
      for (int c = 0; c < whole; c++) s[c] -= shift;
      exponentiate(s, whole);
      for (int c = 0; c < whole; c += kLanes) {
        for (int l = 0; l < kLanes; l++) totals[l] += s[c + l];
      }
      for (const float one : totals) total += one;
      sum[row] += total;
    }
    add_values_few<group>(out + first_row * of.value_size, scores, values, of.value_size, n);
  }

  // Makes what a row has so far relative to a larger maximum.
  void lower(int row, float top) {
    const float down = expf(max[row] - top);
    sum[row] *= down;
    ggml_vec_scale_f32(static_cast<int>(of.value_size), out + row * of.value_size, down);
    max[row] = top;
  }

  void fill_bias(int row, int n, int lanes) {
    for (int l = 0; l < lanes; l++) {
      const int r = row + l;
      if (r >= rows) {
        for (int c = 0; c < n; c++) bias[c * lanes + l] = 0.0f;
      } else if (l > 0 && of.slope_heads == 0 && token_of(r) == token_of(r - 1)) {
        for (int c = 0; c < n; c++) bias[c * lanes + l] = bias[c * lanes + l - 1];
      } else {
        const ggml_fp16_t* mask = of.mask_row(token_of(r), sequence);
        for (int c = 0; c < n; c++) bias[c * lanes + l] = slopes[r] * GGML_CPU_FP16_TO_FP32(mask[cells[c]]);
      }
    }
  }
};

// Writes one row of the result: out is the sum of weighted values, of which this takes the mean.
void write_row(const Operands& of, int64_t sequence, int64_t token, int64_t head, float* out, float max, float sum) {
  const int value_size = static_cast<int>(of.value_size);
  if (of.sinks) {
    const float sink = static_cast<const float*>(of.sinks->data)[head];
    if (sink > max) {
      const float down = expf(max - sink);
      ggml_vec_scale_f32(value_size, out, down);
      sum = sum * down + 1.0f;
    } else {
      sum += expf(sink - max);
    }
  }
  ggml_vec_scale_f32(value_size, out, sum == 0.0f ? 0.0f : 1.0f / sum);
  const ggml_tensor* result = of.result;
  const int64_t row = sequence * result->ne[2] * result->ne[1] + head + token * result->ne[1];
  std::memcpy(static_cast<char*>(result->data) + row * result->nb[1], out, value_size * sizeof(float));
}

// How many of the tokens from `first` on see nearly the same cells as their neighbour: they go into one tile.
int64_t count_alike(const Operands& of, int64_t sequence, int64_t first, int64_t end, int64_t cell0, int64_t cell1) {
  if (!of.mask) return end - first;
  int64_t token = first + 1;
  for (; token < end; token++) {
    const uint16_t* a = of.mask_row(token - 1, sequence);
    const uint16_t* b = of.mask_row(token, sequence);
    int64_t seen = 0, different = 0;
    for (int64_t base = cell0; base < cell1; base += 4096) {
      const int64_t stop = std::min(base + 4096, cell1);
      uint16_t s = 0, d = 0;  // narrow, so that the compiler counts in many lanes
      for (int64_t c = base; c < stop; c++) {
        s += static_cast<uint16_t>(a[c] != kHidden);
        d += static_cast<uint16_t>((a[c] != kHidden) != (b[c] != kHidden));
      }
      seen += s;
      different += d;
    }
    if (2 * different > seen + 64) break;
  }
  return token - first;
}

void compute_item(const ggml_compute_params* params, const Operands& of, const Plan& plan, float* partials, int64_t item) {
  const int64_t chunk = item % plan.chunks;
  const int64_t tile_number = item / plan.chunks % plan.tiles;
  const int64_t kv_head = item / plan.chunks / plan.tiles % of.k->ne[2];
  const int64_t sequence = item / plan.chunks / plan.tiles / of.k->ne[2];
  const int64_t n_cells = of.k->ne[1];
  const int64_t cell0 = n_cells * chunk / plan.chunks, cell1 = n_cells * (chunk + 1) / plan.chunks;
  const int64_t end = std::min((tile_number + 1) * plan.tokens, of.q->ne[1]);

  Tile tile(of, Plan::work(params) + params->ith * plan.scratch, plan, sequence, kv_head);
  const auto attend = [&](int64_t first, int64_t count) {
    tile.begin(first, count);
    tile.attend(cell0, cell1);
  };
  const auto write = [&] {
    for (int r = 0; r < tile.rows; r++) {
      const int64_t token = tile.token_of(r), head = tile.head_of(r);
      float* out = tile.out + r * of.value_size;
      if (plan.chunks == 1) {
        write_row(of, sequence, token, head, out, tile.max[r], tile.sum[r]);
        continue;
      }
      const int64_t row = (sequence * of.q->ne[1] + token) * of.q->ne[2] + head;
      float* partial = partials + (row * plan.chunks + chunk) * (of.value_size + 2);
      partial[0] = tile.max[r];
      partial[1] = tile.sum[r];
      std::memcpy(partial + 2, out, of.value_size * sizeof(float));
    }
  };
  for (int64_t first = tile_number * plan.tokens; first < end;) {
    const int64_t count = count_alike(of, sequence, first, end, cell0, cell1);
    attend(first, count);
    if (count == 1 || tile.is_finite()) {
      write();
    } else {
      // A cell that only some of the tokens see is computed with for all: if it holds no numbers, the others must not get to know.
      for (int64_t token = first; token < first + count; token++) {
        attend(token, 1);
        write();
      }
    }
    first += count;
  }
}

void join_chunks(const ggml_compute_params* params, const Operands& of, const Plan& plan, float* partials) {
  const int64_t heads = of.q->ne[2], tokens = of.q->ne[1], rows = heads * tokens * of.q->ne[3];
  const int value_size = static_cast<int>(of.value_size);
  for (int64_t row = rows * params->ith / params->nth; row < rows * (params->ith + 1) / params->nth; row++) {
    float* partial = partials + row * plan.chunks * (value_size + 2);
    float max = -INFINITY, sum = 0.0f;
    for (int64_t c = 0; c < plan.chunks; c++) max = std::max(max, partial[c * (value_size + 2)]);
    float* out = partial + 2;  // of the first chunk
    for (int64_t c = 0; c < plan.chunks; c++) {
      float* other = partial + c * (value_size + 2);
      const float down = other[0] == -INFINITY ? 0.0f : expf(other[0] - max);
      sum += down * other[1];
      if (c == 0) {
        ggml_vec_scale_f32(value_size, out, down);
      } else {
        ggml_vec_mad_f32(value_size, out, other + 2, down);
      }
    }
    write_row(of, row / heads / tokens, row / heads % tokens, row % heads, out, max, sum);
  }
}

bool takes(const ggml_compute_params* params, const ggml_tensor* result, const Plan& plan) {
  const ggml_tensor* q = result->src[0];
  const ggml_tensor* k = result->src[1];
  const ggml_tensor* v = result->src[2];
  const ggml_tensor* mask = result->src[3];
  if (params->use_ref || q->type != GGML_TYPE_F32 || q->ne[2] % k->ne[2] != 0 || k->ne[2] != v->ne[2]) return false;
  if (k->type != GGML_TYPE_F32 && !converter(k)) return false;
  if (v->type != GGML_TYPE_F32 && !converter(v)) return false;
  if (q->nb[0] != sizeof(float) || k->nb[0] != ggml_type_size(k->type) || v->nb[0] != ggml_type_size(v->type)) return false;
  if (mask && (mask->type != GGML_TYPE_F16 || mask->nb[0] != sizeof(ggml_fp16_t) || mask->ne[2] != 1)) return false;
  if (v->ne[0] % kLanes != 0 || result->type != GGML_TYPE_F32 || k->ne[1] > INT32_MAX) return false;
  return plan.work_size(params->nth) <= params->wsize;
}

class Attention final : public ggml::cpu::tensor_traits {
 public:
  // No answer, only a minimum: ggml adds what its own paths need on top, since they compute what compute_forward() does not take.
  bool work_size(int n_threads, const ggml_tensor* result, size_t& size) override {
    size = Plan(result, n_threads).work_size(n_threads);
    return false;
  }

  // False, in every thread alike and with nothing done, where it does not take the attention.
  bool compute_forward(ggml_compute_params* params, ggml_tensor* result) override {
    const Plan plan(result, params->nth);
    if (!takes(params, result, plan)) return false;
    const Operands of(result);
    float* partials = Plan::work(params) + params->nth * plan.scratch;

    const bool alike = of.q->ne[1] == 1 && of.q->ne[3] == 1;  // all pieces of work are: no need to deal them out one by one
    if (alike || plan.items <= params->nth) {
      for (int64_t item = params->ith; item < plan.items; item += params->nth)
        compute_item(params, of, plan, partials, item);
    } else {
      if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
      ggml_barrier(params->threadpool);
      for (int64_t item = params->ith; item < plan.items; item = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        if (zse_abort_wanted(params->threadpool)) break;  // the graph ends after this node: nobody looks at the result
        compute_item(params, of, plan, partials, item);
      }
    }
    if (plan.chunks > 1) {
      ggml_barrier(params->threadpool);
      join_chunks(params, of, plan, partials);
    }
    return true;
  }
};

}  // namespace

ggml::cpu::tensor_traits* attention() {
  static Attention only;
  return &only;
}

}  // namespace zse::kernels

#else

ggml::cpu::tensor_traits* zse::kernels::attention() { return nullptr; }

#endif
