#include "zse_mutator.h"

#include <algorithm>
#include <cstring>

#include "base/crc32.h"

namespace fuzz {

namespace {

template <class Number>
Number get(const std::string& bytes, uint64_t at) {
  Number value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// ---- generation 2 ----------------------------------------------------------------------------------------------------

constexpr uint8_t kNull = 0x00, kFalse = 0x01, kTrue = 0x02, kInteger = 0x10, kFloat = 0x11, kBytes = 0x20, kText = 0x21,
                  kList = 0x30, kMap = 0x40;

struct Node {
  uint8_t tag = kNull;
  uint64_t number = 0;      // bits of an integer or a float
  std::string text;         // of kBytes and kText
  std::vector<Node> items;  // of a list; keys and values in turn of a map
};

Node read_node(const std::string& bytes, uint64_t& at) {
  Node node;
  node.tag = get<uint8_t>(bytes, at++);
  if (node.tag == kInteger || node.tag == kFloat) {
    node.number = get<uint64_t>(bytes, at);
    at += 8;
  } else if (node.tag == kBytes || node.tag == kText) {
    const auto length = get<uint32_t>(bytes, at);
    node.text = bytes.substr(at + 4, length);
    at += 4 + length;
  } else if (node.tag == kList || node.tag == kMap) {
    const uint64_t count = get<uint32_t>(bytes, at) * (node.tag == kMap ? 2ull : 1ull);
    at += 4;
    for (uint64_t i = 0; i < count; i++) node.items.push_back(read_node(bytes, at));
  }
  return node;
}

void write_node(const Node& node, std::string& out) {
  out += static_cast<char>(node.tag);
  if (node.tag == kInteger || node.tag == kFloat) put(out, node.number);
  if (node.tag == kBytes || node.tag == kText) {
    put(out, static_cast<uint32_t>(node.text.size()));
    out += node.text;
  }
  if (node.tag == kList || node.tag == kMap) {
    put(out, static_cast<uint32_t>(node.items.size() / (node.tag == kMap ? 2 : 1)));
    for (const Node& item : node.items) write_node(item, out);
  }
}

void collect(Node& node, std::vector<Node*>& all) {
  all.push_back(&node);
  for (Node& item : node.items) collect(item, all);
}

Node random_node(Random& random) {
  static const std::vector<uint8_t> tags = {kNull,  kFalse, kTrue, kInteger, kInteger, kFloat,
                                            kBytes, kText,  kList, kMap,     0x77};
  static const std::vector<std::string> texts = {"",
                                                 "int4",
                                                 "int8",
                                                 "float16",
                                                 "llama",
                                                 "qwen2",
                                                 "gemma2",
                                                 "phi3",
                                                 "mistral",
                                                 "gemma4",
                                                 "embed_tokens.weight",
                                                 "layers.0.self_attn.q_proj.weight",
                                                 "layers.99.mlp.up_proj.weight",
                                                 "layers.0.self_attn.q_norm.weight",
                                                 "llama3",
                                                 "yarn",
                                                 "longrope",
                                                 "linear",
                                                 "\xff\xfe",
                                                 "<s>",
                                                 "<0x0A>"};
  Node node;
  node.tag = random.pick(tags);
  node.number = random.edge();
  if (node.tag == kFloat) {
    static const std::vector<double> numbers = {0, -1, 1e-6, 1e308, -1e308, 1.0 / 0.0, 0.0 / 0.0, 10000, 0.5};
    const double number = random.pick(numbers);
    std::memcpy(&node.number, &number, sizeof number);
  }
  node.text = random.pick(texts);
  if (node.tag == kList || node.tag == kMap) node.items.resize(random.below(4) * 2);
  return node;
}

void mutate_tree(Node& root, Random& random) {
  for (uint64_t i = random.below(3); i < 3; i++) {
    std::vector<Node*> all;
    collect(root, all);
    Node& node = *all[random.below(all.size())];
    switch (random.below(8)) {
      case 0: node = random_node(random); break;
      case 1:
      case 2:
        if (node.tag == kInteger)
          node.number = random.one_in(2) ? random.edge() : node.number + random.below(5) - 2;
        else if (node.tag == kText)
          random.scramble(node.text, 0, node.text.size());
        break;
      case 3:
        if (!node.items.empty()) node.items.erase(node.items.begin() + static_cast<long>(random.below(node.items.size())));
        break;
      case 4:
        if (!node.items.empty()) node.items.push_back(node.items[random.below(node.items.size())]);
        break;
      case 5: {
        const Node other = *all[random.below(all.size())];
        if (other.items.size() < 100) node = other;
        break;
      }
      case 6:
        if (node.tag == kMap) {
          Node key;
          key.tag = kText;
          key.text = random_node(random).text;
          node.items.push_back(key);
          node.items.push_back(random_node(random));
        }
        break;
      case 7: {
        if (!random.one_in(20)) break;
        for (uint64_t depth = random.below(100); depth > 0; depth--) {
          Node outer;
          outer.tag = kList;
          outer.items.push_back(std::move(node));
          node = std::move(outer);
        }
        break;
      }
    }
  }
}

struct Section {
  uint32_t type;
  std::string bytes;
};

std::string mutate_generation2(const std::string& whole, Random& random) {
  std::vector<Section> sections;
  const auto count = std::min<uint32_t>(get<uint32_t>(whole, 20), 16);
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t row = 64 + i * 32ull;
    sections.push_back(
        {get<uint32_t>(whole, row), whole.substr(get<uint64_t>(whole, row + 4), get<uint64_t>(whole, row + 12))});
  }
  for (Section& section : sections) {
    if (section.type == 3) {
      if (random.one_in(4)) random.scramble(section.bytes, 0, section.bytes.size());
    } else if (random.one_in(2)) {
      uint64_t at = 0;
      Node root = read_node(section.bytes, at);
      mutate_tree(root, random);
      section.bytes.clear();
      write_node(root, section.bytes);
    } else if (random.one_in(6)) {
      random.scramble(section.bytes, 0, section.bytes.size());
    }
  }
  if (random.one_in(30)) sections.push_back(sections[random.below(sections.size())]);
  if (random.one_in(30)) sections.erase(sections.begin() + static_cast<long>(random.below(sections.size())));

  std::string table, body;
  const uint64_t start = 64 + 32 * sections.size();
  for (const Section& section : sections) {
    if (section.type == 3) body.resize((start + body.size() + 4095) / 4096 * 4096 - start);
    put(table, section.type);
    put<uint64_t>(table, start + body.size());
    put<uint64_t>(table, section.bytes.size());
    put<uint32_t>(table, section.type == 3
                             ? 0
                             : zse::crc32({reinterpret_cast<const uint8_t*>(section.bytes.data()), section.bytes.size()}));
    put<uint64_t>(table, 0);
    body += section.bytes;
  }
  std::string out = whole.substr(0, 8);
  put<uint64_t>(out, start + body.size());
  out += whole.substr(16, 4);
  put(out, static_cast<uint32_t>(sections.size()));
  out.resize(64);
  out += table + body;
  if (random.one_in(8)) random.scramble(out, 0, start);  // header and table
  return out;
}

// ---- generation 1 ----------------------------------------------------------------------------------------------------

std::string mutate_generation1(const std::string& whole, Random& random) {
  const uint64_t length = get<uint32_t>(whole, 8);
  std::string json = whole.substr(12, length);
  std::string rest = whole.substr(std::min<uint64_t>(whole.size(), 12 + length));
  static const std::vector<std::string> values = {"0",
                                                  "-1",
                                                  "1",
                                                  "null",
                                                  "true",
                                                  "[]",
                                                  "{}",
                                                  "\"\"",
                                                  "1e999",
                                                  "4294967296",
                                                  "9223372036854775807",
                                                  "18446744073709551616",
                                                  "0.5",
                                                  "\"x\"",
                                                  "[[[[[[[[]]]]]]]]",
                                                  "128",
                                                  "64",
                                                  "[64,128]",
                                                  "3",
                                                  "4"};
  for (uint64_t i = random.below(3); i < 3; i++) {
    const uint64_t at = random.below(json.size());
    const size_t colon = json.find(": ", at);
    if (random.one_in(4) || colon == std::string::npos) {
      random.scramble(json, 0, json.size());
      continue;
    }
    const size_t end = json.find_first_of(",}]", colon + 2);
    if (end == std::string::npos) continue;
    json.replace(colon + 2, end - colon - 2, random.pick(values));
  }
  // The padding behind the JSON takes up the difference, so that everything else stays where it was.
  const int64_t grown = static_cast<int64_t>(json.size()) - static_cast<int64_t>(length);
  if (grown > 0) rest.erase(0, static_cast<size_t>(grown));
  if (grown < 0) rest.insert(0, static_cast<size_t>(-grown), '\0');
  if (random.one_in(3)) random.scramble(rest, 0, rest.size());  // the tokenizer, or weights
  std::string out = whole.substr(0, 8);
  put<uint32_t>(out, static_cast<uint32_t>(random.one_in(40) ? random.edge() : json.size()));
  return out + json + rest;
}

}  // namespace

bool is_zse(const std::string& whole) { return whole.size() > 64 && whole.compare(0, 3, "ZSE") == 0 && whole[3] <= 1; }

std::string mutate_zse(const std::string& whole, Random& random) {
  if (random.one_in(8)) {
    std::string bytes = whole;
    for (uint64_t i = random.below(6); i < 6; i++) random.scramble(bytes, 0, random.one_in(2) ? 512 : bytes.size());
    if (random.one_in(3)) bytes.resize(random.below(bytes.size() + 1));
    return bytes;
  }
  return whole[3] == 1 ? mutate_generation2(whole, random) : mutate_generation1(whole, random);
}

}  // namespace fuzz
