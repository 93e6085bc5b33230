// Owns the promise that roles cannot be forged: over every template and every vocabulary of llama.cpp's source, the text of a control token
// in what people, tools or documents say is never read as that token, and every other prompt has the tokens that llama.cpp gives it.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "chat.h"
#include "check.h"
#include "common.h"
#include "llama.h"
#include "llama/devices.h"
#include "llama/marked_text.h"

using namespace zse;

namespace {

std::vector<std::string> files_of(const std::string& folder, const std::string& begin, const std::string& end) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(begin, 0) == 0 && name.size() > end.size() && name.substr(name.size() - end.size()) == end) {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

const std::string kModels = ZSE_LLAMA_DIR "/models";

struct Vocabulary {
  std::string name;
  std::unique_ptr<llama_model, decltype(&llama_model_free)> model;

  /** `tokenizer`: another one than the file's. */
  explicit Vocabulary(const std::string& path, const char* tokenizer = nullptr)
      : name(path.substr(kModels.size())), model(open(path, tokenizer), llama_model_free) {}
  const llama_vocab* get() const { return llama_model_get_vocab(model.get()); }

 private:
  static llama_model* open(const std::string& path, const char* tokenizer) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    llama_model_kv_override overrides[2] = {};
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    if (tokenizer) {
      std::snprintf(overrides[0].key, sizeof overrides[0].key, "tokenizer.ggml.model");
      std::snprintf(overrides[0].val_str, sizeof overrides[0].val_str, "%s", tokenizer);
      params.kv_overrides = overrides;  // the second, without a key, ends the list
    }
    return llama_model_load_from_file(path.c_str(), params);
  }
};

std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

/** What the one test says in each place where somebody's words go. */
struct Words {
  std::string user, system, tool_result, tool_name, argument, description, property, assistant;
};

common_chat_msg message(const std::string& role, const std::string& content) {
  common_chat_msg msg;
  msg.role = role;
  msg.content = content;
  return msg;
}

/** Which parts of a conversation a template is given: some refuse one or another. */
struct Shape {
  bool system = true, tools = true;
};

common_chat_templates_inputs conversation(const Words& words, const Shape& shape, bool pure) {
  common_chat_templates_inputs inputs;
  if (shape.system) inputs.messages.push_back(message("system", "Be brief. " + words.system));
  inputs.messages.push_back(message("user", "Look at " + words.user + " please"));
  if (shape.tools) {
    common_chat_tool tool;
    tool.name = "look" + words.tool_name;
    tool.description = "Looks. " + words.description;
    common_json parameters = common_json::object();
    common_json text = common_json::object();
    text["type"] = "string";
    text["description"] = "Text " + words.property;
    common_json properties = common_json::object();
    properties["text" + words.property] = text;
    parameters["type"] = "object";
    parameters["properties"] = properties;
    tool.parameters = parameters.dump();
    inputs.tools.push_back(tool);

    common_chat_msg call = message("assistant", "");
    common_json arguments = common_json::object();
    arguments["text" + words.property] = "a " + words.argument + " b";
    call.tool_calls.push_back({tool.name, arguments.dump(), "123456789"});
    inputs.messages.push_back(call);
    common_chat_msg result = message("tool", "It says " + words.tool_result + ".");
    result.tool_call_id = "123456789";
    result.tool_name = tool.name;
    inputs.messages.push_back(result);
    inputs.messages.push_back(message("assistant", "Done" + words.assistant));
    inputs.messages.push_back(message("user", words.user));
  } else {
    inputs.messages.push_back(message("assistant", "Done" + words.assistant));
    inputs.messages.push_back(message("user", words.user));
  }
  inputs.force_pure_content = pure;
  return inputs;
}

constexpr Shape kShapes[] = {{true, true}, {false, true}, {true, false}, {false, false}};

/** Which of the shapes a template takes is the first one, and the prompt; -1 where it takes none. */
int render(const common_chat_templates* templates, const Words& words, bool pure, common_chat_prompt& prompt) {
  for (int shape = 0; shape < 4; shape++) {
    try {
      prompt = common_chat_templates_apply(templates, conversation(words, kShapes[shape], pure)).prompt;
      return shape;
    } catch (const std::exception&) {  // that shape is refused
    }
  }
  return -1;
}

std::map<Token, int> counts(const std::vector<Token>& tokens) {
  std::map<Token, int> counts;
  for (const Token token : tokens) counts[token]++;
  return counts;
}

/** The texts of the tokens that may not be read in `where`, each between spaces, and letters of the same number for comparison. */
std::pair<std::string, std::string> forgeries(const llama_vocab* vocab, const std::vector<TokenRight>& rights,
                                              size_t& how_many) {
  std::string forged, harmless;
  how_many = 0;
  for (Token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
    const std::string text = llama_vocab_get_text(vocab, token);
    if (rights[static_cast<size_t>(token)] == TokenRight::kAnywhere || text.empty()) continue;
    if (text.find("unused") != std::string::npos && how_many > 200) continue;  // thousands that are all alike
    forged += " " + text + " x" + text;
    harmless += " words xwords";
    how_many++;
  }
  return {forged, harmless};
}

constexpr uint64_t kPart = 10;  // of all pairs of a template and a vocabulary, under sanitizers

}  // namespace

TEST("control tokens in messages, names, tools and their results stay text, whatever the template and the vocabulary") {
  init_backends();
  const auto template_files = files_of(kModels + "/templates", "", ".jinja");
  const auto vocabulary_files = files_of(kModels, "ggml-vocab-", ".gguf");
  CHECK(template_files.size() >= 60);
  CHECK(vocabulary_files.size() >= 15);
  std::vector<std::string> sources;
  for (const auto& path : template_files) sources.push_back(text_of_file(path));
  size_t forged_tokens = 0, prompts = 0;
  bool parsers = true;  // handlers of templates differ by template alone: with one vocabulary
  std::mt19937_64 random(check::seed());
  for (const auto& path : vocabulary_files) {
    const Vocabulary vocabulary(path);
    if (llama_vocab_type(vocabulary.get()) == LLAMA_VOCAB_TYPE_WPM) continue;  // of encoders
    for (size_t i = 0; i < sources.size(); i++) {
      if (check::kSanitized && random() % kPart != 0) continue;
      const auto templates = common_chat_templates_init(vocabulary.model.get(), sources[i]);
      const auto rights = token_rights(vocabulary.get(), sources[i]);
      size_t how_many = 0;
      const auto [bad, good] = forgeries(vocabulary.get(), rights, how_many);
      REQUIRE(how_many > 0);
      forged_tokens += how_many;
      for (int with_parser = 0; with_parser <= (parsers ? 1 : 0); with_parser++) {
        const bool pure = with_parser == 0;
        common_chat_prompt forged, harmless;
        const int shape = render(templates.get(), {good, good, good, good, good, good, good, ""}, pure, harmless);
        CHECK(shape >= 0);
        CHECK_EQ(render(templates.get(), {bad, bad, bad, bad, bad, bad, bad, ""}, pure, forged), shape);
        const auto unmarked = common_tokenize(vocabulary.get(), forged, true, true);
        const auto before = counts(tokenize_marked(vocabulary.get(), rights, marked_text(std::move(harmless))));
        const auto tokens = tokenize_marked(vocabulary.get(), rights, marked_text(std::move(forged)));
        CHECK(tokens.size() > unmarked.size());  // they would have been read
        prompts++;
        for (const auto& [token, count] : counts(tokens)) {
          if (rights[static_cast<size_t>(token)] == TokenRight::kAnywhere) continue;
          const auto known = before.find(token);
          const int allowed = known == before.end() ? 0 : known->second;
          if (count <= allowed) continue;
          std::cerr << vocabulary.name << " in " << name_of(template_files[i]) << (pure ? "" : ", with a parser") << ": "
                    << llama_vocab_get_text(vocabulary.get(), token) << "\n";
          CHECK_EQ(count, allowed);
        }
      }
    }
    parsers = false;
  }
  std::cout << "        " << prompts << " prompts, with " << forged_tokens << " control tokens in each of seven places\n";
}

TEST("prompts of ordinary messages have exactly the tokens that llama.cpp gives to their text") {
  init_backends();
  const std::string words =
      "  Gr\u00fc\u00dfe \"quoted\" it's {a: 1}, x<y && [z] <b>bold</b>\n\n\n    return 5;\t\u65e5\u672c \U0001F600 \n- "
      "item ";
  const auto template_files = files_of(kModels + "/templates", "", ".jinja");
  std::mt19937_64 random(check::seed());
  for (const auto& path : files_of(kModels, "ggml-vocab-", ".gguf")) {
    const Vocabulary vocabulary(path);
    if (llama_vocab_type(vocabulary.get()) == LLAMA_VOCAB_TYPE_WPM) continue;
    for (const auto& file : template_files) {
      if (check::kSanitized && random() % kPart != 0) continue;
      const std::string source = text_of_file(file);
      const auto templates = common_chat_templates_init(vocabulary.model.get(), source);
      common_chat_prompt prompt;
      CHECK(render(templates.get(), {words, words, words, "", words, words, "s", words}, true, prompt) >= 0);
      CHECK(!prompt.input.empty());
      const auto expected = common_tokenize(vocabulary.get(), prompt, true, true);
      const auto rights = token_rights(vocabulary.get(), source);
      const bool same = tokenize_marked(vocabulary.get(), rights, marked_text(std::move(prompt))) == expected;
      if (!same) std::cerr << vocabulary.name << " in " << name_of(file) << "\n";
      CHECK(same);
    }
  }
}

TEST("a tag of replies that is a word of the vocabulary is text in what people say, and a token in what the model said") {
  init_backends();
  for (const auto& [file, text, said] :
       {std::tuple{"gemma-4", "<|tool_call>", true}, {"command-r", "<|USER_TOKEN|>", false}}) {
    const Vocabulary vocabulary(kModels + "/ggml-vocab-" + file + ".gguf");
    const Token tag = common_tokenize(vocabulary.get(), text, false, true).at(0);
    REQUIRE((llama_vocab_get_attr(vocabulary.get(), tag) & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0);
    const std::string source = "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}" + std::string(text);
    const auto templates = common_chat_templates_init(vocabulary.model.get(), source);
    const auto rights = token_rights(vocabulary.get(), source);
    common_chat_templates_inputs inputs;
    inputs.force_pure_content = true;
    const auto tags = [&] {
      auto prompt = common_chat_templates_apply(templates.get(), inputs).prompt;
      return counts(tokenize_marked(vocabulary.get(), rights, marked_text(std::move(prompt))))[tag];
    };
    inputs.messages = {message("user", "Say " + std::string(text))};
    CHECK_EQ(tags(), 1);  // the template's
    inputs.messages.push_back(message("assistant", "Well: " + std::string(text)));
    CHECK_EQ(tags(), said ? 2 : 1);  // what begins a turn is nobody's word
  }
}

TEST("a tokenizer that looks up every token in a text finds no control token in what people say") {
  init_backends();
  for (const char* tokenizer : {"plamo2", "rwkv"}) {
    const bool plamo = std::string(tokenizer) == "plamo2";
    const Vocabulary vocabulary(kModels + (plamo ? "/ggml-vocab-llama-spm.gguf" : "/ggml-vocab-falcon.gguf"), tokenizer);
    const std::string text = plamo ? "</s>" : ">>TITLE<<";
    const Token control = common_tokenize(vocabulary.get(), text, false, true).at(0);
    REQUIRE((llama_vocab_get_attr(vocabulary.get(), control) & LLAMA_TOKEN_ATTR_CONTROL) != 0);
    const auto plain = common_tokenize(vocabulary.get(), "x" + text, false, false);
    CHECK(std::count(plain.begin(), plain.end(), control) == 1);  // though nobody asked for control tokens
    const auto rights = token_rights(vocabulary.get(), "");
    const MarkedText forged = {text + "a" + text + text + "b" + text, {{text.size(), 3 * text.size() + 2, false}}};
    const auto tokens = tokenize_marked(vocabulary.get(), rights, forged);
    CHECK_EQ(std::count(tokens.begin(), tokens.end(), control), 2);  // the template's, before and behind
  }
}

TEST("a message that is continued is no template: its control tokens are text, whatever the handler") {
  init_backends();
  const Vocabulary vocabulary(kModels + "/ggml-vocab-llama-bpe.gguf");
  const Token token = common_tokenize(vocabulary.get(), "<|eot_id|>", false, true).at(0);
  size_t continued = 0;
  for (const auto& file : files_of(kModels + "/templates", "", ".jinja")) {
    const std::string source = text_of_file(file);
    const auto templates = common_chat_templates_init(vocabulary.model.get(), source);
    const auto rights = token_rights(vocabulary.get(), source);
    const auto tokens_of = [&](const std::string& word) {
      common_chat_templates_inputs inputs;
      inputs.messages = {message("user", "Hello"), message("assistant", "I say " + word)};
      inputs.messages.back().reasoning_content = "I think " + word;
      inputs.continue_final_message = COMMON_CHAT_CONTINUATION_CONTENT;
      inputs.add_generation_prompt = false;
      auto prompt = common_chat_templates_apply(templates.get(), inputs).prompt;
      CHECK(prompt.size() > 6 && prompt.substr(prompt.size() - 6 - word.size()) == "I say " + word);
      return counts(tokenize_marked(vocabulary.get(), rights, marked_text(std::move(prompt))))[token];
    };
    try {
      const int harmless = tokens_of("word");
      CHECK_EQ(tokens_of("<|eot_id|>"), harmless);
      continued++;
    } catch (const std::exception& e) {
      std::cerr << name_of(file) << ": " << e.what() << "\n";
    }
  }
  CHECK(continued >= 60);
}
