// Owns a tile: the query tokens that see nearly the same cells, times the query heads that share one KV head, so that a cell of K and V is
// read and converted once for all of them. Cells that none of a tile's tokens sees are left out one by one, not block by block: in a
// cache that several sequences share, a token costs what its own sequence is long. On one of ggml's compute threads, in its scratch.
#pragma once

#include <optional>
#include <type_traits>

#include "attention_plan.h"
#include "attention_tiles.h"

#ifdef ZSE_VECTORS

namespace zse::kernels {

namespace {  // for attention.cpp alone

// Up to so many query rows cells lie in the lanes: most would be idle if queries did. So many of them at once have registers for their sums.
constexpr int kFewRows = kLanes == 16 ? 7 : 4, kGroup = kLanes == 16 ? 6 : 3;
constexpr int kFarBytes = 2048;  // many query rows: cells this far apart are fetched ahead even where they follow each other
constexpr uint16_t kHidden = 0xfc00;  // -inf, the mask of a cell that a token does not see

constexpr int kWide = kLanes == 4 ? 4 : 2;  // vectors in a panel of queries
constexpr int kNarrow = kWide / 2;          // vectors in the last panel, if that is enough
static_assert(kWide * kLanes <= kMostLanes, "a panel is as wide as the plan reserves");

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
  const bool by_tiles;  // AMX's, where rows are not few

  float* queries;  // per panel [key_size][lanes], of few rows [row][key_size]; scaled
  float* out;      // [lanes][value_size]
  float* max;      // per lane
  float* sum;      // per lane
  float* slopes;   // per lane
  float* scores;   // [cells][lanes]: scores, then weights, of one panel; of few rows [row][cells]
  float* bias;     // [cells][lanes]: mask of one panel; by tiles its weights, too
  float* k_f32;    // [cells][key_size]; by tiles they are cut instead
  float* v_f32;    // [cells][value_size]
  int32_t* cells;  // the block's cells

  const char *k_base, *v_base;  // of this sequence and KV head
  size_t k_bytes, v_bytes;      // of a row

  Tile(const Operands& of, float* scratch, const Plan& plan, int64_t sequence, int64_t kv_head)
      : of(of), sequence(sequence), kv_head(kv_head), by_tiles(can_use_tiles(of)) {
    const int64_t lanes = plan.lanes();
    const auto take = [&scratch](int64_t n) {
      float* taken = scratch;
      scratch += n;
      return taken;
    };
    queries = take(lanes * of.key_size * kPartsOfQueries / 2);
    k_f32 = take(kBlockCells * of.key_size);
    scores = take(kBlockCells * kMostLanes);
    bias = take(kBlockCells * kMostLanes * kPartsOfQueries / 2);
    max = take(lanes);
    sum = take(lanes);
    slopes = take(lanes);
    v_f32 = take(kBlockCells * of.value_size);
    out = take(lanes * of.value_size);
    cells = reinterpret_cast<int32_t*>(take(kBlockCells));
    k_base = at<char>(of.k->data, kv_head * of.k->nb[2] + sequence / (of.q->ne[3] / of.k->ne[3]) * of.k->nb[3]);
    v_base = at<char>(of.v->data, kv_head * of.v->nb[2] + sequence / (of.q->ne[3] / of.v->ne[3]) * of.v->nb[3]);
    k_bytes = ggml_row_size(of.k->type, of.key_size);
    v_bytes = ggml_row_size(of.v->type, of.value_size);
    // Rows past the last cell are computed with, and dropped. Tiles do not mind what is there.
    if (!by_tiles) std::memset(k_f32, 0, kBlockCells * of.key_size * sizeof(float));
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
    std::memset(out, 0, (rows + kLanes - 1) / kLanes * kLanes * of.value_size * sizeof(float));
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
      for (int r = row; r < row + lanes; r++) {
        max[r] = -INFINITY;
        sum[r] = 0.0f;
        slopes[r] = r < rows ? of.slope(head_of(r)) : 1.0f;
      }
#ifdef ZSE_ATTENTION_TILES
      if (by_tiles) {
        for (int r = row; r < row + lanes; r += kTileRows) {
          const auto one = [&](int i) { return r + i < rows ? query(r + i) : nullptr; };
          cut_queries(cut_q(r), one, of.scale, of.key_size);
        }
        row += lanes;
        continue;
      }
#endif
      for (int l = 0; l < lanes; l++) {
        const int r = row + l;
        if (r >= rows) {
          for (int64_t d = 0; d < of.key_size; d++) panel[d * lanes + l] = 0.0f;
          continue;
        }
        const float* from = query(r);
        for (int64_t d = 0; d < of.key_size; d++) panel[d * lanes + l] = from[d] * of.scale;
      }
      row += lanes;
    }
  }

  bool is_finite() const {
    float zeros[kLanes] = {};  // infinity and NaN times nothing are NaN
    for (int r = 0; r < rows; r++) zeros[0] += 0.0f * sum[r];
    for (int64_t i = 0; i < rows * of.value_size; i += kLanes) {  // values are whole vectors
      for (int l = 0; l < kLanes; l++) zeros[l] += 0.0f * out[i + l];
    }
    float zero = 0.0f;
    for (const float one : zeros) zero += one;
    return zero == 0.0f;
  }

  // Goes over the cells from `cell0` on, before `cell1`, that any of the tokens sees.
  void attend(int64_t cell0, int64_t cell1) {
#ifdef ZSE_ATTENTION_TILES
    std::optional<Tiles> tiles;
    if (by_tiles && !few()) tiles.emplace(2 * kNumbers);
#endif
    int n = 0;
    bool masked = false;
    const bool far = few() || by_tiles || of.k->nb[1] >= kFarBytes;
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
#ifdef ZSE_ATTENTION_TILES
    if (by_tiles && !few()) {
      cut_cells(n);
      attend_panels([&](auto vectors, int row) { attend_panel_by_tiles<vectors>(row, n, masked); });
      return;
    }
#endif
    for (int c = 0; c < n; c++) {
      to_f32(of.k, of.k_to_float, k_row(cells[c]), k_f32 + c * of.key_size, of.key_size);
      to_f32(of.v, of.v_to_float, v_row(cells[c]), v_f32 + c * of.value_size, of.value_size);
    }
    if (few()) {
      attend_few(F32Cells{k_f32, of.key_size}, F32Cells{v_f32, of.value_size}, n, masked);
      return;
    }
    attend_panels([&](auto vectors, int row) { attend_panel<vectors>(row, n, masked); });
  }

  template <class Attend>
  void attend_panels(const Attend& attend) {
    for (int row = 0; row < rows;) {
      if (panel_vectors(rows - row) == kWide) {
        attend(std::integral_constant<int, kWide>(), row);
        row += kWide * kLanes;
      } else {
        attend(std::integral_constant<int, kNarrow>(), row);
        row += kNarrow * kLanes;
      }
    }
  }

  template <int vectors>
  void attend_panel(int row, int n, bool masked) {
    constexpr int lanes = vectors * kLanes;
    score<vectors>(scores, k_f32, queries + row * of.key_size, of.key_size, n);
    adjust_scores(row, n, lanes, masked);
    float shift[lanes], total[lanes] = {};
    raise<lanes>(row, n, shift);
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) scores[c * lanes + l] -= shift[l];
    }
    exponentiate(scores, n * lanes);
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) total[l] += scores[c * lanes + l];
    }
    for (int l = 0; l < lanes; l++) sum[row + l] += total[l];
    add_values(out + row * of.value_size, scores, lanes, v_f32, of.value_size, std::min(rows - row, lanes), n);
  }

  // What is between products of queries with keys and the soft maximum.
  void adjust_scores(int row, int n, int lanes, bool masked) {
    if (of.softcap != 0.0f) {
      ggml_vec_tanh_f32(n * lanes, scores, scores);
      ggml_vec_scale_f32(n * lanes, scores, of.softcap);
    }
    if (masked) {
      fill_bias(row, n, lanes);
      for (int i = 0; i < n * lanes; i++) scores[i] += bias[i];
    }
  }

  // Takes the block's scores into the rows' maxima; what is to be subtracted from scores goes to `shift`.
  template <int lanes>
  void raise(int row, int n, float* shift) {
    float top[lanes];
    for (int l = 0; l < lanes; l++) top[l] = max[row + l];
    for (int c = 0; c < n; c++) {
      for (int l = 0; l < lanes; l++) top[l] = top[l] > scores[c * lanes + l] ? top[l] : scores[c * lanes + l];
    }
    for (int r = row; r < std::min(rows, row + lanes); r++) {
      if (top[r - row] > max[r]) lower(r, top[r - row]);
    }
    for (int l = 0; l < lanes; l++) shift[l] = top[l] == -INFINITY ? 0.0f : top[l];
  }

#ifdef ZSE_ATTENTION_TILES
  static bool can_use_tiles(const Operands& of) {
    const ggml_type type = of.k->type;
    const bool is_read = type == GGML_TYPE_F16 || type == GGML_TYPE_Q8_0 || type == GGML_TYPE_Q4_0;
    return is_read && of.v->type == type && of.key_size % kNumbers == 0 && of.value_size % kNumbers == 0 &&
           has_float_tiles();
  }

  static_assert(kParts == kPartsOfQueries);
  uint32_t* cut_q(int row) const { return reinterpret_cast<uint32_t*>(queries) + row * kParts * of.key_size / 2; }
  uint32_t* cut_k() const { return reinterpret_cast<uint32_t*>(k_f32); }
  uint32_t* cut_v() const { return reinterpret_cast<uint32_t*>(v_f32); }

  void cut_cells(int n) {
    switch (of.k->type) {
      case GGML_TYPE_Q8_0: return cut_cells<BlockCells<block_q8_0>>(n);
      case GGML_TYPE_Q4_0: return cut_cells<BlockCells<block_q4_0>>(n);
      default: return cut_cells<F16Cells>(n);
    }
  }

  template <class Cells>
  void cut_cells(int n) {
    cut_keys(cut_k(), Cells{k_base, of.k->nb[1], cells}, of.key_size, n);
    cut_values(cut_v(), Cells{v_base, of.v->nb[1], cells}, of.value_size, n);
  }

  template <int groups>
  void attend_panel_by_tiles(int row, int n, bool masked) {
    constexpr int lanes = groups * kTileRows;
    score_by_tiles<groups>(scores, cut_k(), cut_q(row), of.key_size, n);
    adjust_scores(row, n, lanes, masked);
    float shift[lanes];
    raise<lanes>(row, n, shift);
    auto* weights = reinterpret_cast<uint32_t*>(bias);  // which is no longer needed
    weigh_by_tiles<groups>(weights, scores, shift, sum + row, n);
    add_values_by_tiles<groups>(out + row * of.value_size, weights, cut_v(), of.value_size, n);
  }
#else
  static bool can_use_tiles(const Operands&) { return false; }
#endif

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

}  // namespace

}  // namespace zse::kernels

#endif
