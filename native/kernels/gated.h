// Owns which nodes of a graph our kernels compute as one: two products of the same activations of which one is the other's gate (SwiGLU, GEGLU).
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_cgraph;
struct ggml_compute_params;

/**
 * Computes the nodes from number `first` on together, if they are such: on each compute thread, which all answer alike.
 * @returns how many more than one were computed; 0 where none was
 */
int zse_compute_gated(const struct ggml_cgraph* graph, int first, const struct ggml_compute_params* params);

#ifdef __cplusplus
}
#endif
