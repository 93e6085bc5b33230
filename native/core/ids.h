// Owns the words that every room of the engine uses: tokens, slots, streams, and time. Plain values.
#pragma once

#include <chrono>
#include <cstdint>

namespace zse {

using Token = int32_t;     // id in the model's vocabulary
using Position = int32_t;  // index of a token in its sequence, from 0
using SlotId = int32_t;    // llama.cpp's seq_id: which of maxStreams places in the KV cache
using StreamId = int64_t;  // positive, of one stream of the model at a time; 0 stands for the model itself
using Clock = std::chrono::steady_clock;

/** Milliseconds between two points in time, as the timings report them. */
inline double milliseconds(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

}  // namespace zse
