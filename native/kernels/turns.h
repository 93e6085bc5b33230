// Owns how a kernel that takes long learns that its graph is given up.
#pragma once

struct ggml_threadpool;

/**
 * Whether the graph's abort callback says so by now: our patch to ggml-cpu.c, which alone knows the callback. ggml asks it between nodes only, and some
 * take tens of milliseconds. Whoever heard yes may leave its node as it is. The callback stays with a yes until the graph has ended, and whoever computes the graph
 * then knows of it, even where ggml did not ask again (native/llama/abortable.h): nothing of the results is used.
 */
extern "C" bool zse_abort_wanted(const ggml_threadpool* threadpool);
