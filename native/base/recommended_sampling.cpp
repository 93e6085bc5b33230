#include "recommended_sampling.h"

#include <cstdlib>
#include <sstream>

namespace zse {

namespace {

struct Number {
  const char* key;
  const char* option;
};

// common_init_sampler_from_model() of llama.cpp has the same list.
constexpr Number kNumbers[] = {
    {"general.sampling.top_k", "topK"},
    {"general.sampling.top_p", "topP"},
    {"general.sampling.min_p", "minP"},
    {"general.sampling.xtc_probability", "xtcProbability"},
    {"general.sampling.xtc_threshold", "xtcThreshold"},
    {"general.sampling.temp", "temperature"},
    {"general.sampling.penalty_last_n", "repeatLastN"},
    {"general.sampling.penalty_repeat", "repeatPenalty"},
    {"general.sampling.mirostat", "mirostat"},
    {"general.sampling.mirostat_tau", "mirostatTau"},
    {"general.sampling.mirostat_eta", "mirostatEta"},
};
constexpr const char* kSequence = "general.sampling.sequence";
constexpr size_t kMostSamplers = 64;  // that are looked at

}  // namespace

RecommendedSampling recommended_sampling(const std::function<std::string(const char* key)>& text_of) {
  RecommendedSampling found;
  for (const auto& [key, option] : kNumbers) {
    const std::string text = text_of(key);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end != text.c_str()) found.numbers.emplace_back(option, value);
  }
  std::istringstream sequence(text_of(kSequence));
  for (std::string name; found.samplers.size() < kMostSamplers && std::getline(sequence, name, ';');) {
    found.samplers.push_back(name.substr(0, 64));
  }
  return found;
}

}  // namespace zse
