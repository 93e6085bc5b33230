// Owns which rows of activations each expert of a mixture multiplies: the router's choices, sorted by expert and cut into batches. One compute
// thread fills it in the work buffer; after a barrier all of them read it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ggml.h"

namespace zse::kernels {

class Routes {
 public:
  struct Route {
    int32_t chosen, token;  // the expert was this one of the token's choices
  };
  /** Routes that one expert's weights are multiplied with at once, from the `first` of all on. */
  struct Batch {
    int32_t expert, first, rows;
  };

  /** `work` has bytes(node) bytes. */
  Routes(void* work, const ggml_tensor* node) : node_(node) {
    head_ = static_cast<int64_t*>(work);
    routes_ = reinterpret_cast<Route*>(head_ + 1 + node->src[0]->ne[2]);
    batches_ = reinterpret_cast<Batch*>(routes_ + count(node));
  }

  static size_t bytes(const ggml_tensor* node) {
    return sizeof(int64_t) * (1 + node->src[0]->ne[2]) + (sizeof(Route) + sizeof(Batch)) * count(node);
  }

  /** How many there are: each token goes to as many experts. */
  static int64_t count(const ggml_tensor* node) { return ggml_nelements(node->src[2]); }

  int64_t batches() const { return *head_; }
  const Batch& batch(int64_t i) const { return batches_[i]; }
  const Route& operator[](int64_t i) const { return routes_[i]; }

  /** In batches of `most` rows at most. */
  void fill(int most) const {
    const int64_t experts = node_->src[0]->ne[2];
    int64_t* ends = head_ + 1;
    std::fill_n(ends, experts, 0);
    for_each([&](int32_t expert, Route) {
      GGML_ASSERT(expert >= 0 && expert < experts);
      ends[expert]++;
    });
    int64_t sum = 0, found = 0;
    for (int64_t expert = 0; expert < experts; expert++) {
      const int64_t end = sum + ends[expert];
      ends[expert] = sum;  // where its routes begin, until they are filled in
      for (int64_t rows; sum < end; sum += rows) {
        rows = std::min<int64_t>(most, end - sum);
        batches_[found++] = {static_cast<int32_t>(expert), static_cast<int32_t>(sum), static_cast<int32_t>(rows)};
      }
    }
    *head_ = found;
    for_each([&](int32_t expert, Route route) { routes_[ends[expert]++] = route; });
  }

 private:
  template <class Take>
  void for_each(Take take) const {
    const ggml_tensor* choices = node_->src[2];
    for (int32_t token = 0; token < choices->ne[1]; token++) {
      const char* of = static_cast<const char*>(choices->data) + token * choices->nb[1];
      for (int32_t chosen = 0; chosen < choices->ne[0]; chosen++)
        take(*reinterpret_cast<const int32_t*>(of + chosen * choices->nb[0]), Route{chosen, token});
    }
  }

  const ggml_tensor* node_;
  int64_t* head_;  // the number of batches; then, for each expert, where its routes end
  Route* routes_;
  Batch* batches_;
};

}  // namespace zse::kernels
