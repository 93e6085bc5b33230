// Owns opening a vocabulary of a GGUF file with some of its metadata changed, so that each pre-tokenizer of the source can be tried
// without a file of its own. Uses llama.cpp's insides.
#pragma once

#include <memory>
#include <string>
#include <vector>

struct llama_vocab;

class Vocabulary {
 public:
  /** Changes: "pre=NAME", "model=NAME", "name=NAME" set a key; "merges=0" leaves none; "dna" makes some tokens those of DNA. */
  Vocabulary(const std::string& path, const std::vector<std::string>& changes);
  ~Vocabulary();

  std::vector<int> tokens(const std::string& text, bool add_special, bool parse_special) const;

  /** Texts of the tokens that are looked for before anything is split, in the order of their ids. */
  const std::vector<std::string>& special() const { return special_; }

 private:
  std::unique_ptr<llama_vocab> vocab_;
  std::vector<std::string> special_;
};
