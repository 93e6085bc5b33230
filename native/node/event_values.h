// Owns making a batch of events into JavaScript values: payloads, their numbers, log-probabilities, drawn tokens. lib/addon/contract.ts is the
// contract. JavaScript thread, once for each step.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/events.h"

namespace zse {

/** Every event's payload, in order. */
Napi::Array payloads_to_js(Napi::Env env, const std::vector<Event>& events);
/** What else there is of each event: streamId, kind and tokens. */
constexpr size_t kNumbersOfAnEvent = 3;
void write_heads(const std::vector<Event>& events, uint32_t* heads);
/** The events' log-probabilities at the same places; undefined where none of them has any. */
Napi::Value logprobs_to_js(Napi::Env env, const std::vector<Event>& events);
/** Of the tokens that events tell: pairs of the event's place and the token, flat; undefined where there are none. */
Napi::Value drawn_to_js(Napi::Env env, const std::vector<Event>& events);

}  // namespace zse
