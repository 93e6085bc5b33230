// Owns what a model file may recommend for drawing its tokens: the keys of GGUF, and the options that they are here. Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace zse {

/** As the file says it, whatever it says: lib/options/recommended.ts decides what of it is used. */
struct RecommendedSampling {
  std::vector<std::pair<std::string, double>> numbers;  // by the names that lib/options has for them
  std::vector<std::string> samplers;                    // llama.cpp's names, in their order; empty where there are none
};

/** `text_of` gives a key's value as text, and "" where there is none. Numbers are read as llama.cpp's common library reads them. */
RecommendedSampling recommended_sampling(const std::function<std::string(const char* key)>& text_of);

}  // namespace zse
