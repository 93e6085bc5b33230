// Owns the choice where a prompt's checkpoints are made, for models whose memory can be cut nowhere else. Pure; decode thread.
//
// What conversations part at is the beginning of a message: of the first question, behind a system prompt that many share; of the last question,
// which may be edited; and of the reply that is due, whose thought may be missing from the next turn's prompt. Those of earlier turns were made
// by these. A step has to end at each, so there are few.
#pragma once

#include <vector>

namespace zse {

/**
 * In order, each within 1 … prompt_tokens - 1. `message_starts`: in order; empty where the text's parts are not known, and then it is cut near its
 * end. `grain`: each is a multiple of it.
 */
std::vector<int> checkpoint_places(const std::vector<int>& message_starts, int prompt_tokens, int grain);

}  // namespace zse
