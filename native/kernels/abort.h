// Owns how a kernel that takes long learns that its graph is given up.
#pragma once

struct ggml_threadpool;

/**
 * Whether the graph's abort callback says so by now: our patch to ggml-cpu.c, which alone knows the callback. ggml asks it between nodes only, and some
 * take tens of milliseconds. Whoever heard yes may leave its node as it is: the callback stays with it (native/llama/abortable.h), so the node after it is not computed,
 * and nobody looks at the result of the last one.
 */
extern "C" bool zse_abort_wanted(const ggml_threadpool* threadpool);
