#include "hf_tokenizer.h"

#include <array>

#include "base/refuse.h"

namespace zse {

namespace {

constexpr uint64_t kMostJsonBytes = 64 << 20;

std::string decode_base64(const std::string& text, uint64_t offset, const std::string& name) {
  static const auto values = [] {
    std::array<int8_t, 256> made;
    made.fill(-1);
    const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < alphabet.size(); i++) made[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
    return made;
  }();
  size_t size = text.size();
  while (size > 0 && text.size() - size < 2 && text[size - 1] == '=') size--;
  std::string out;
  out.reserve(size / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < size; i++) {
    const int8_t value = values[static_cast<uint8_t>(text[i])];
    if (value < 0) {
      refuse(offset, "the tokenizer's file \"" + name + "\" is not valid base64 at its character " + std::to_string(i));
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  if (size % 4 == 1) refuse(offset, "the tokenizer's file \"" + name + "\" is not valid base64");
  return out;
}

/** Calls `visit` for a normalizer, pre-tokenizer or post-processor, or for each of a "Sequence" of them. */
template <typename F>
void each_step(const Json* step, const char* list, F&& visit) {
  if (!step || !step->is_object()) return;
  const Json* inner = field(*step, list);
  if (!inner || !inner->is_array()) return visit(*step);
  for (const Json& one : *inner) {
    if (one.is_object()) visit(one);
  }
}

std::string type_of(const Json& step) {
  const Json* type = field(step, "type");
  return type && type->is_string() ? type->get<std::string>() : "";
}

bool is_true(const Json& object, const char* key) {
  const Json* value = field(object, key);
  return value && value->is_boolean() && value->get<bool>();
}

/** A special token in tokenizer_config.json: its text, or an object that has it. */
std::string content_of(const Json* token) {
  if (token && token->is_object()) token = field(*token, "content");
  return token && token->is_string() ? token->get<std::string>() : "";
}

std::string chat_template_of(const Json& config) {
  const Json* found = field(config, "chat_template");
  if (!found) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const Json& one : *found) {  // several, each with a name
    if (content_of(field(one, "name")) == "default") return content_of(field(one, "template"));
  }
  return "";
}

void read_steps(const Json& tokenizer, TokenizerData::Source& source) {
  bool prefix = false;
  each_step(field(tokenizer, "normalizer"), "normalizers", [&](const Json& step) {
    source.nfc = source.nfc || type_of(step) == "NFC";
    prefix = prefix || type_of(step) == "Prepend";
  });
  each_step(field(tokenizer, "pre_tokenizer"), "pretokenizers", [&](const Json& step) {
    const Json* pattern = field(step, "pattern");
    if (type_of(step) == "Split" && pattern) source.pre_tokenizer += content_of(field(*pattern, "Regex")) + "\n";
    if (type_of(step) != "Metaspace") return;
    const std::string scheme = content_of(field(step, "prepend_scheme"));
    prefix = prefix || is_true(step, "add_prefix_space") || scheme == "first" || scheme == "always";
  });
  source.add_space_prefix = prefix;
  each_step(field(tokenizer, "post_processor"), "processors", [&](const Json& step) {
    const Json* single = field(step, "single");
    if (single && single->is_array() && !single->empty() && field((*single)[0], "SpecialToken")) source.add_bos = true;
  });
}

void read_vocabulary(const Json& model, TokenizerData& data, uint64_t offset) {
  const Json* vocab = field(model, "vocab");
  if (!vocab || !vocab->is_object()) refuse(offset, "tokenizer.json has no vocab");
  data.vocab.reserve(vocab->size());
  for (auto token = vocab->begin(); token != vocab->end(); ++token) {
    if (!token->is_number_integer())
      refuse(offset, "tokenizer.json, model.vocab: the id of token \"" + token.key() + "\" is not an integer");
    data.vocab.emplace_back(token.key(), token->get<int64_t>());
  }
  const Json* merges = field(model, "merges");
  if (!merges || !merges->is_array()) refuse(offset, "tokenizer.json has no merges");
  data.merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    const auto bad = [&](const char* what) {
      refuse(offset, "tokenizer.json, model.merges[" + std::to_string(data.merges.size()) + "] " + what);
    };
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ', 1);
      if (text.empty() || space == std::string_view::npos) bad("has less than two parts");
      data.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      data.merges.emplace_back(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else {
      bad("is neither a string nor a pair of strings");
    }
  }
}

void read_added_tokens(const Json& tokenizer, TokenizerData& data, uint64_t offset) {
  const Json* added = field(tokenizer, "added_tokens");
  if (!added || !added->is_array()) return;
  for (const Json& token : *added) {
    const Json* content = field(token, "content");
    if (!content || !content->is_string()) {
      refuse(offset, "tokenizer.json, added_tokens[" + std::to_string(data.added.size()) + "] has no content");
    }
    const int64_t id = integer_field(token, "id", -1, offset);
    data.added.emplace_back(content->get_ref<const std::string&>(), id);
    if (is_true(token, "special")) data.source->special.insert(id);
  }
}

int64_t id_of(const TokenizerData& data, const std::string& text) {
  if (text.empty()) return -1;
  for (const auto* list : {&data.added, &data.vocab}) {
    for (const auto& [token, id] : *list) {
      if (token == text) return id;
    }
  }
  return -1;
}

}  // namespace

TokenizerData read_hf_tokenizer(const Json& files, uint64_t offset) {
  if (!files.is_object()) refuse(offset, "the tokenizer is not a table of files");
  const auto contents = [&](const char* name) { return decode_base64(text_field(files, name, "", offset), offset, name); };
  const std::string text = contents("tokenizer.json");
  if (text.empty()) refuse(offset, "the tokenizer has no tokenizer.json; convert the model again with a \"fast\" tokenizer");
  const auto tokenizer = std::make_shared<const Json>(parse_json(text, offset, "tokenizer.json", kMostJsonBytes));
  const std::string config_text = contents("tokenizer_config.json");
  const Json config =
      config_text.empty() ? Json::object() : parse_json(config_text, offset, "tokenizer_config.json", kMostJsonBytes);

  const Json* model = field(*tokenizer, "model");
  if (!model) refuse(offset, "tokenizer.json has no model");
  const std::string type = type_of(*model);
  if (!type.empty() && type != "BPE")
    unsupported("its tokenizer is of the kind \"" + type + "\"; BPE is the kind that can be read");

  TokenizerData data;
  data.keep_alive = tokenizer;  // what follows points into it
  data.source.emplace();
  read_vocabulary(*model, data, offset);
  read_added_tokens(*tokenizer, data, offset);
  read_steps(*tokenizer, *data.source);
  if (!field(*tokenizer, "post_processor")) data.source->add_bos = is_true(config, "add_bos_token");
  data.bos_id = id_of(data, content_of(field(config, "bos_token")));
  data.eos_id = id_of(data, content_of(field(config, "eos_token")));
  data.pad_id = id_of(data, content_of(field(config, "pad_token")));
  data.unk_id = id_of(data, content_of(field(config, "unk_token")));
  data.source->chat_template = contents("chat_template.jinja");
  if (data.source->chat_template.empty()) data.source->chat_template = chat_template_of(config);
  return data;
}

}  // namespace zse
