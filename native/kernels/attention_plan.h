// Owns how one attention is cut up, and its operands. Pure; any thread: every thread computes the same plan.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention_vectors.h"
#include "ggml-cpu-impl.h"
#include "ggml-impl.h"

#ifdef ZSE_VECTORS

namespace zse::kernels {

namespace {  // for attention.cpp alone

constexpr int kMostLanes = 32;  // upper bound of the width of a panel of queries
constexpr int kMostRows = 112;  // query rows (tokens x heads) in a tile: its scratch stays in a core's L2
constexpr int kLeastRows = 48;  // below that converting K and V begins to weigh
constexpr int kLeastChunk = 256;
constexpr size_t kCacheLine = 64;
constexpr int kPartsOfQueries = 3;  // of 16 bits, with AMX (attention_tiles.h); else they are whole

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
    const int64_t key_size = k->ne[0], value_size = v->ne[0], n_cells = k->ne[1], n_tokens = std::max<int64_t>(1, q->ne[1]);

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

    scratch = lanes() * (key_size * kPartsOfQueries / 2 + 3 + value_size) +
              kBlockCells * (kMostLanes + kMostLanes * kPartsOfQueries / 2 + key_size + value_size + 1);
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

}  // namespace

}  // namespace zse::kernels

#endif
