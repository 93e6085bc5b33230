#include "matmul.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "processor.h"
#include "products_floats.h"
#include "products_lanes.h"
#include "products_superblocks.h"
#include "rounded_pieces.h"
#include "routes.h"
#include "turns.h"

namespace zse::kernels {

#ifdef ZSE_LANES

namespace {

template <class T>
T* at(void* base, size_t bytes) {
  return reinterpret_cast<T*>(static_cast<char*>(base) + bytes);
}

// Where each byte of a row's block comes to lie among those of other rows, and what it is combined with there: found by interleaving two blocks that
// differ in every byte. Kinds only move bytes, and may flip some of their bits.
template <class Kind>
struct Places {
  struct Place {
    uint16_t at;
    uint8_t flipped;
  };
  Place of[Kind::kInterleaved][sizeof(typename Kind::Stored)];

  Places() {
    typename Kind::Stored zeros, counted;
    std::memset(&zeros, 0, sizeof(zeros));
    for (size_t i = 0; i < sizeof(counted); i++) reinterpret_cast<uint8_t*>(&counted)[i] = static_cast<uint8_t>(i + 1);
    static_assert(sizeof(counted) < 256, "every byte has a number of its own");
    std::vector<typename Kind::Block> blocks(2);
    for (int row = 0; row < Kind::kInterleaved; row++) {
      std::memset(static_cast<void*>(blocks.data()), 0, 2 * sizeof(blocks[0]));
      Kind::interleave(zeros, row, blocks[0]);
      Kind::interleave(counted, row, blocks[1]);
      for (size_t at = 0; at < sizeof(blocks[0]); at++) {
        const uint8_t zero = reinterpret_cast<const uint8_t*>(&blocks[0])[at];
        const int number = zero ^ reinterpret_cast<const uint8_t*>(&blocks[1])[at];
        if (number > 0) of[row][number - 1] = {static_cast<uint16_t>(at), zero};
      }
    }
  }
};

// Of one type of weights; `Kind` says how they lie, and multiplies (products_*.h).
template <class Kind>
class Products final : public InterleavedWeights {
  using Stored = typename Kind::Stored;
  using Block = typename Kind::Block;

  // Rows of activations in one call: kinds put up to 64 of them together. Calls but the only one have as many as keeps the last rows, which lie together in
  // other numbers, in one call. In slices a prompt's usual 512 are one call, and each call has enough to go in slices as well.
  static constexpr int kMostRows = 192, kMostSliced = 528, kLeast = 36, kLeastSliced = 96;

 public:
  bool takes(const ggml_tensor* weights) const override { return weights->ne[1] % Kind::kInterleaved == 0; }

  void interleave(ggml_tensor* weights, const void* usual, int64_t first, int64_t end) const override {
    static_assert(kTogether % Kind::kInterleaved == 0);
    const int64_t blocks = ggml_nbytes(weights) / sizeof(Stored) / ggml_nrows(weights);
    const auto* from = static_cast<const Stored*>(usual) + first * blocks;
    auto* to = static_cast<Block*>(weights->data) + first / Kind::kInterleaved * blocks;
    for (; first < end; first += Kind::kInterleaved, from += Kind::kInterleaved * blocks) {
      for (int64_t b = 0; b < blocks; b++, to++) {
        for (int row = 0; row < Kind::kInterleaved; row++) {
          Stored one = from[row * blocks + b];
          spread_bits(one);
          Kind::interleave(one, row, *to);
        }
      }
    }
  }

  void take_out(const ggml_tensor* weights, int64_t row, void* usual) const override {
    static const Places<Kind> places;
    const auto& place = places.of[row % Kind::kInterleaved];
    const int64_t blocks = weights->nb[1] / sizeof(Stored);
    const auto* from = static_cast<const uint8_t*>(weights->data) + row / Kind::kInterleaved * blocks * sizeof(Block);
    auto* to = static_cast<Stored*>(usual);
    for (int64_t b = 0; b < blocks; b++, from += sizeof(Block), to++) {
      auto* bytes = reinterpret_cast<uint8_t*>(to);
      for (size_t i = 0; i < sizeof(Stored); i++) bytes[i] = from[place[i].at] ^ place[i].flipped;
      gather_bits(*to);
    }
  }

  bool work_size(int threads, const ggml_tensor* node, size_t& size) override {
    size = 0;
    if (node->op == GGML_OP_GET_ROWS) return true;
    size = activation_bytes(node->src[1]);
    if (node->op == GGML_OP_MUL_MAT_ID) size += threads * batch_bytes(node) + Routes::bytes(node);
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* node) override {
    GGML_ASSERT(node->nb[0] == sizeof(float));
    if (node->op == GGML_OP_GET_ROWS) {
      get_rows(params, node);
      return true;
    }
    GGML_ASSERT(node->src[1]->type == GGML_TYPE_F32);
    size_t needed = 0;
    work_size(params->nth, node, needed);
    GGML_ASSERT(params->wsize >= needed);
    if (node->op == GGML_OP_MUL_MAT)
      multiply(params, node);
    else
      multiply_by_experts(params, node);
    return true;
  }

 private:
  void get_rows(const ggml_compute_params* params, ggml_tensor* node) const {
    const ggml_tensor* weights = node->src[0];
    const ggml_tensor* chosen = node->src[1];
    static thread_local std::vector<uint8_t> row;
    row.resize(weights->nb[1]);
    for (int64_t i = params->ith; i < chosen->ne[0]; i += params->nth) {
      const int64_t which = *at<const int32_t>(chosen->data, i * chosen->nb[0]);
      GGML_ASSERT(which >= 0 && which < weights->ne[1]);
      take_out(weights, which, row.data());
      ggml_get_type_traits(weights->type)->to_float(row.data(), at<float>(node->data, i * node->nb[1]), weights->ne[0]);
    }
  }

  static size_t activation_bytes(const ggml_tensor* activations) {
    const int64_t places = Kind::places(static_cast<int>(activations->ne[1])) * activations->ne[2] * activations->ne[3];
    return GGML_PAD(Kind::row_bytes(activations->ne[0]) * places, sizeof(int64_t));
  }

  // Of the rows of one expert's batch, where a thread puts them together.
  static size_t batch_bytes(const ggml_tensor* node) {
    const int64_t rows = std::min<int64_t>(kMostRows, Routes::count(node));
    return GGML_PAD(Kind::row_bytes(node->src[1]->ne[0]) * Kind::places(static_cast<int>(rows)), sizeof(int64_t));
  }

  // Rows of weights lie together: their blocks begin where the first row's would.
  static const Block* weights_at(const ggml_tensor* weights, int64_t row, int64_t expert) {
    return at<const Block>(weights->data, row * weights->nb[1] + expert * weights->nb[2]);
  }

  // A thread's results of two products, which stay near until the gate has read them.
  class Near {
   public:
    float* rows[2][kMostSliced + kLeastSliced];  // of each product, as laid out last

    /** How many columns of so many rows stay near. */
    static int64_t columns(int rows) {
      constexpr int64_t kBytes = 128 << 10;
      return std::max<int64_t>(kBytes / (2 * sizeof(float) * rows * kTogether), 1) * kTogether;
    }

    void lay_out(int n_rows, int n_columns) {
      constexpr uintptr_t kLine = kTogether * sizeof(float);
      numbers_.resize(std::max<size_t>(numbers_.size(), 2 * n_rows * n_columns + kTogether));
      float* next = at<float>(numbers_.data(), (kLine - reinterpret_cast<uintptr_t>(numbers_.data()) % kLine) % kLine);
      for (auto& product : rows)
        for (int row = 0; row < n_rows; row++, next += n_columns) product[row] = next;
    }

   private:
    std::vector<float> numbers_;
  };

  // By a call: where it is part of who asks, the compiler asks for it again with each row.
  [[gnu::noinline]] static Near& near_of_thread() {
    static thread_local Near near;
    return near;
  }

  // Calls `work` with a plane, the first of some rows of weights and the one after them, until all have been dealt out, `together` rows or a multiple in each
  // piece: four pieces for each thread, one by one, except where memory belongs to processors: there each has its own. Threads that are alike take pieces that follow
  // each other: what is read ahead at the end of one is their next one's beginning.
  template <class Work>
  static void deal_out(const ggml_compute_params* params, const ggml_tensor* weights, int64_t together, int64_t planes,
                       const Work& work) {
    const int64_t rows = weights->ne[1], groups = (rows + together - 1) / together, threads = params->nth;
    const int64_t pieces = threads == 1 ? 1 : std::min<int64_t>(groups, (ggml_is_numa() ? 1 : 4) * threads);
    meet_for_turns(params);
    take_turns(params, pieces * planes, [&](int64_t item) {
      const int64_t number = item % pieces;
      const int64_t piece = pieces % threads == 0 ? number % threads * (pieces / threads) + number / threads : number;
      work(item / pieces, groups * piece / pieces * together, std::min(rows, groups * (piece + 1) / pieces * together));
    });
  }

  // Once in the program, whoever asks for it: some kinds' are tens of kilobytes.
  [[gnu::noinline]] static void multiply_rows(int64_t columns, float* const* out, const Block* weights, const char* rounded,
                                              int rows, int n_columns) {
    Kind::multiply(columns, out, weights, rounded, rows, n_columns);
  }

  static void multiply(const ggml_compute_params* params, ggml_tensor* node) {
    const ggml_tensor* weights = node->src[0];
    const ggml_tensor* activations = node->src[1];
    GGML_ASSERT(ggml_n_dims(weights) == 2 && activations->ne[3] == 1);
    const int tokens = static_cast<int>(activations->ne[1]);
    const int64_t planes = activations->ne[2];
    const size_t row_bytes = Kind::row_bytes(weights->ne[0]), plane_bytes = Kind::places(tokens) * row_bytes;
    round_rows(params, activations, tokens, planes, activations->nb[2]);

    const int64_t near = near_rows(weights, tokens);
    const int most = most_rows(weights, tokens);
    deal_out(params, weights, Kind::kInterleaved, planes, [&](int64_t plane, int64_t first, int64_t end) {
      float* out = at<float>(node->data, plane * node->nb[2]);
      const char* rounded = at<const char>(params->wdata, plane * plane_bytes);
      for (int64_t column = first; column < end; column += near) {
        for (int row = 0, rows; row < tokens; row += rows) {
          rows = rows_of_call(tokens, row, most);
          float* to[kMostSliced + kLeastSliced];
          for (int i = 0; i < rows; i++) to[i] = at<float>(out, (row + i) * node->nb[1]) + column;
          multiply_rows(weights->ne[0], to, weights_at(weights, column, 0), rounded + row * row_bytes, rows,
                        static_cast<int>(std::min(near, end - column)));
        }
      }
    });
  }

 public:
  void multiply_gated(const ggml_compute_params* params, const ggml_tensor* gate, const ggml_tensor* from, Gate by,
                      ggml_tensor* result) const override {
    const ggml_tensor* activations = gate->src[1];
    const int64_t columns = activations->ne[0];
    const int tokens = static_cast<int>(activations->ne[1]);
    const size_t row_bytes = Kind::row_bytes(columns);
    GGML_ASSERT(params->wsize >= activation_bytes(activations));
    round_rows(params, activations, tokens, 1, 0);

    const int most = most_gated(gate->src[0], tokens);
    // A row of gates is computed sixteen numbers at a time, and what is left of it one by one: pieces end where the row would be cut anyway.
    deal_out(params, gate->src[0], kTogether, 1, [&](int64_t, int64_t first, int64_t end) {
      Near& near = near_of_thread();
      for (int row = 0, rows; row < tokens; row += rows) {
        rows = rows_of_call(tokens, row, most);
        const auto* rounded = at<const char>(params->wdata, row * row_bytes);
        const int64_t at_once = std::min(near.columns(rows), end - first);
        for (int64_t column = first; column < end; column += at_once) {
          const int n = static_cast<int>(std::min(at_once, end - column));
          near.lay_out(rows, n);
          const auto& [gates, numbers] = near.rows;
          multiply_rows(columns, gates, weights_at(gate->src[0], column, 0), rounded, rows, n);
          multiply_rows(columns, numbers, weights_at(from->src[0], column, 0), rounded, rows, n);
          for (int i = 0; i < rows; i++)
            by(n, at<float>(result->data, (row + i) * result->nb[1]) + column, gates[i], numbers[i]);
        }
      }
    });
  }

 private:
  static void multiply_by_experts(const ggml_compute_params* params, ggml_tensor* node) {
    const ggml_tensor* weights = node->src[0];
    const ggml_tensor* activations = node->src[1];
    const int64_t columns = weights->ne[0];
    const size_t bytes = Kind::row_bytes(columns);
    char* work = at<char>(params->wdata, activation_bytes(activations));
    char* together = work + params->ith * batch_bytes(node);
    const Routes routes(work + params->nth * batch_bytes(node), node);
    round_rows(params, activations, 1, ggml_nrows(activations), activations->nb[1]);
    if (params->ith == 0) routes.fill(kMostRows);
    meet_for_turns(params);

    // A batch is put together by each thread that has a piece of its weights: so weights are cut only as far as keeps all threads busy.
    const int64_t groups = weights->ne[1] / Kind::kInterleaved, batches = routes.batches();
    const int64_t pieces =
        params->nth == 1 ? 1 : std::clamp<int64_t>(4 * params->nth / std::max<int64_t>(batches, 1), 1, groups);
    take_turns(params, pieces * batches, [&](int64_t item) {
      const Routes::Batch& batch = routes.batch(item / pieces);
      const int64_t piece = item % pieces;
      const int64_t first = groups * piece / pieces * Kind::kInterleaved;
      const int64_t end = groups * (piece + 1) / pieces * Kind::kInterleaved;
      const char* from[kMostRows];
      float* out[kMostRows];
      for (int i = 0; i < batch.rows; i++) {
        const auto [chosen, token] = routes[batch.first + i];
        const int64_t row = token * activations->ne[1] + chosen % activations->ne[1];
        from[i] = at<const char>(params->wdata, row * bytes);
        out[i] = at<float>(node->data, chosen * node->nb[1] + token * node->nb[2]) + first;
      }
      if (batch.rows > 1) Kind::put_together(from, batch.rows, columns, together);
      const char* rounded = batch.rows > 1 ? together : from[0];
      const int64_t near = near_rows(weights, batch.rows);
      for (int64_t column = first; column < end; column += near) {
        const int64_t n = std::min(near, end - column);
        multiply_rows(columns, out, weights_at(weights, column, batch.expert), rounded, batch.rows, static_cast<int>(n));
        for (int i = 0; i < batch.rows; i++) out[i] += n;
      }
    });
  }

  // As many rows of weights as stay in a processor's own cache while so many of activations pass; a few pass in one go, and so do slices.
  static int64_t near_rows(const ggml_tensor* weights, int64_t rows) {
    const int64_t group = weights->nb[1] * Kind::kInterleaved;
    if (rows <= 16 || Kind::slice_columns(static_cast<int>(rows)) > 0) return weights->ne[1];
    return std::max<int64_t>(Kind::kNearBytes / group, 1) * Kind::kInterleaved;
  }

  // As many rows of activations as stay near while many of weights pass. Where there are tiles, these want 64 at once.
  static int most_rows(const ggml_tensor* weights, int tokens) {
    if (const int64_t columns = Kind::slice_columns(tokens); columns > 0) {
      const auto slice = static_cast<int64_t>(Kind::row_bytes(std::min(weights->ne[0], columns)));
      constexpr int kPass = 12;
      return static_cast<int>(std::clamp<int64_t>(own_cache() / 2 / slice / kPass * kPass, kMostRows, kMostSliced));
    }
#ifdef __AMX_INT8__
    if (has_tiles()) return kMostRows;
#endif
    constexpr int64_t kNear = 512 << 10;  // bytes
    constexpr int kPasses = 48;           // a multiple of all that are multiplied together
    static_assert(kMostRows % kPasses == 0);
    const int64_t rows = kNear / static_cast<int64_t>(Kind::row_bytes(weights->ne[0])) / kPasses * kPasses;
    return static_cast<int>(std::clamp<int64_t>(rows, kPasses, kMostRows));
  }

  // Those of the call that begins with `row`; the last one has a few more.
  static int rows_of_call(int tokens, int row, int most) {
    const int least = Kind::slice_columns(tokens) > 0 ? kLeastSliced : kLeast;
    return tokens - row < most + least ? tokens - row : most;
  }

  // The same where few of weights pass, of two products in turns: all columns of the activations stay near, since these pass slice by slice each time.
  static int most_gated(const ggml_tensor* weights, int tokens) {
    const int most = most_rows(weights, tokens);
    if (Kind::slice_columns(tokens) == 0) return most;
    constexpr int kPass = 12;
    const auto rows = own_cache() * 3 / 4 / static_cast<int64_t>(Kind::row_bytes(weights->ne[0])) / kPass * kPass;
    return static_cast<int>(std::clamp<int64_t>(rows, kLeastSliced, most));
  }

  // Into the work buffer, each plane's rows as they are multiplied together. What a thread writes lies together, too: two that write to the same line
  // of a cache wait for each other.
  static void round_rows(const ggml_compute_params* params, const ggml_tensor* activations, int rows, int64_t planes,
                         size_t stride) {
    const int64_t columns = activations->ne[0];
    const Pieces<Kind> pieces(rows, columns);
    const size_t row_bytes = Kind::row_bytes(columns), plane_bytes = Kind::places(rows) * row_bytes;
    const int64_t all = pieces.count() * planes;
    for (int64_t i = all * params->ith / params->nth; i < all * (params->ith + 1) / params->nth; i++) {
      const int64_t plane = i / pieces.count();
      const Piece piece = pieces[i % pieces.count()];
      Kind::round_piece(piece, columns, at<const char>(activations->data, plane * stride + piece.first * activations->nb[1]),
                        activations->nb[1], at<char>(params->wdata, plane * plane_bytes + piece.first * row_bytes));
    }
  }
};

template <class Kind>
InterleavedWeights* products() {
  static Products<Kind> one;
  return &one;
}

// On ARM ggml has interleaved kernels for most types where there is dotprod: ours are those that it multiplies row by row. F16 is ggml's there,
// which has more instructions for it (docs/lab/matrix-products.md).
#if defined(ZSE_LANES_NEON) && defined(__ARM_FEATURE_DOTPROD)
#define ZSE_ROWS_ONLY
#endif

#ifdef ZSE_SUPERBLOCKS
template <class Kind>
using OfSuperblocks = SuperProducts<Kind>;
#else
template <class Kind>
using OfSuperblocks = LanesProducts<Kind>;
#endif

// Who multiplies weights of a type; null for the types that ggml's own kernels keep.
InterleavedWeights* products_of(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q4_1: return products<LanesProducts<LanesQ4_1>>();
    case GGML_TYPE_Q5_0: return products<LanesProducts<LanesQ5_0>>();
    case GGML_TYPE_Q5_1: return products<LanesProducts<LanesQ5_1>>();
    case GGML_TYPE_IQ4_XS: return products<OfSuperblocks<LanesIq4Xs>>();
#ifndef ZSE_ROWS_ONLY
    case GGML_TYPE_Q4_0: return products<LanesProducts<LanesQ4_0>>();
    case GGML_TYPE_Q8_0: return products<LanesProducts<LanesQ8_0>>();
    case GGML_TYPE_Q4_K: return products<OfSuperblocks<LanesQ4_K>>();
    case GGML_TYPE_Q5_K: return products<OfSuperblocks<LanesQ5_K>>();
    case GGML_TYPE_Q6_K: return products<OfSuperblocks<LanesQ6_K>>();
    case GGML_TYPE_IQ4_NL: return products<LanesProducts<LanesIq4Nl>>();
    case GGML_TYPE_MXFP4: return products<LanesProducts<LanesMxfp4>>();
#endif
#ifdef ZSE_PRODUCTS_FLOATS
    case GGML_TYPE_BF16: return products<FloatProducts<BrainWeight>>();
#ifndef ZSE_LANES_NEON
    case GGML_TYPE_F16: return products<FloatProducts<HalfWeight>>();
#endif
#endif
    default: return nullptr;
  }
}

}  // namespace

InterleavedWeights* interleaved(const ggml_tensor* weights) {
  InterleavedWeights* products = products_of(weights->type);
  return products && products->takes(weights) ? products : nullptr;
}

#else

InterleavedWeights* interleaved(const ggml_tensor*) { return nullptr; }

#endif

}  // namespace zse::kernels
