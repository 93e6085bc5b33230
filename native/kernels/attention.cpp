// Owns attention as ggml's compute threads share it: what is taken, who computes which tile, and what is written. Work is dealt out as (KV head,
// tile), and where these are too few for the threads also as chunks of the cache, whose partial results are then joined.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "attention_tile.h"
#include "turns.h"

#ifdef ZSE_VECTORS

namespace zse::kernels {

namespace {

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
      meet_for_turns(params);
      take_turns(params, plan.items, [&](int64_t item) { compute_item(params, of, plan, partials, item); });
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
