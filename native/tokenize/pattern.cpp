#include "tokenize/pattern.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "tokenize/utf8.h"

namespace zse {

namespace {

constexpr uint32_t kMostRepeats = 1024;
constexpr int kMostDepth = 32;

struct Category {
  const char* name;
  uint32_t byte;
  const char* ascii;  // first and last of ranges, in pairs
};

// What of ASCII belongs to a category; the letters' subcategories know no case in llama.cpp.
constexpr Category kCategories[] = {
    {"N", kNumberByte, "09"},    {"L", kLetterByte, "AZaz"},
    {"Lu", kLetterByte, "AZaz"}, {"Ll", kLetterByte, "AZaz"},
    {"Lt", kLetterByte, "AZaz"}, {"Lm", kLetterByte, "AZaz"},
    {"Lo", kLetterByte, "AZaz"}, {"P", kPunctuationByte, "!#%*,/:;?@[]__{{}}"},
    {"M", kMarkByte, ""},        {"S", kSymbolByte, "$$++<>^^``||~~"},
};

CharSet whitespace() {
  CharSet set('\t', '\r');
  set.add(' ', ' ');
  return set;
}

class Reader {
 public:
  explicit Reader(const std::string& expression)
      : expression_(expression), text_(decode_utf8(expression)), categories_(names_category(expression)) {}

  Node read() {
    Node node = either();
    if (at_ != text_.size()) refuse("an unexpected )");
    return node;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument(what + " at character " + std::to_string(at_) + " of the expression " + expression_);
  }

  bool more() const { return at_ < text_.size(); }
  uint32_t peek() const { return more() ? text_[at_] : 0; }
  bool take(char wanted) {
    if (!more() || text_[at_] != static_cast<uint32_t>(wanted)) return false;
    at_++;
    return true;
  }
  uint32_t next() {
    if (!more()) refuse("an unexpected end");
    return text_[at_++];
  }

  Node either() {
    if (++depth_ > kMostDepth) refuse("too many groups in each other");
    Node node{Node::kEither, {}, {}, 0, 0, false};
    do node.parts.push_back(sequence());
    while (take('|'));
    depth_--;
    if (node.parts.size() == 1) return std::move(node.parts[0]);
    return united(std::move(node));
  }

  /** A choice between single characters is a set. */
  static Node united(Node node) {
    Node set{Node::kSet, {}, {}, 0, 0, false};
    for (const Node& part : node.parts) {
      if (part.kind != Node::kSet) return node;
      set.set.add(part.set);
    }
    return set;
  }

  Node sequence() {
    Node node{Node::kSequence, {}, {}, 0, 0, false};
    while (more() && peek() != '|' && peek() != ')') {
      Node part = repeated(atom());
      Node* last = node.parts.empty() ? nullptr : &node.parts.back();
      const bool looks_at_it = last && last->kind == Node::kLook && !last->negative && last->parts[0].kind == Node::kSet &&
                               part.kind == Node::kSet;
      if (looks_at_it) part.set = part.set.intersection(last->parts[0].set);
      if (looks_at_it) node.parts.pop_back();
      node.parts.push_back(std::move(part));
    }
    if (node.parts.size() == 1) return std::move(node.parts[0]);
    return node;
  }

  Node repeated(Node inner) {
    uint32_t least = 0, most = 0;
    if (take('*')) {
      most = Node::kNoEnd;
    } else if (take('+')) {
      least = 1, most = Node::kNoEnd;
    } else if (take('?')) {
      most = 1;
    } else if (take('{')) {
      least = most = number();
      if (take(',')) most = peek() == '}' ? Node::kNoEnd : number();
      if (!take('}') || most < least || most == 0) refuse("a count that cannot be read");
    } else {
      return inner;
    }
    if (peek() == '?' || peek() == '*' || peek() == '+' || peek() == '{') refuse("a quantifier after a quantifier");
    if (may_be_empty(inner)) refuse("a repetition of what may be empty");
    if (least == 1 && most == 1) return inner;
    Node node{Node::kRepeat, {}, {}, least, most, false};
    node.parts.push_back(std::move(inner));
    return node;
  }

  uint32_t number() {
    if (peek() < '0' || peek() > '9') refuse("a count that cannot be read");
    uint32_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + (next() - '0');
      if (value > kMostRepeats) refuse("a count that is too large");
    }
    return value;
  }

  Node atom() {
    const uint32_t character = next();
    switch (character) {
      case '(': return group();
      case '[': return one_of(bracket());
      case '\\': return one_of(escape());
      case '$': return Node{Node::kEnd, {}, {}, 0, 0, false};
      case '.':
      case '^':
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']': at_--; refuse("something this reader does not know");
      default: return one_of(literal(character));
    }
  }

  static Node one_of(CharSet set) { return Node{Node::kSet, std::move(set), {}, 0, 0, false}; }

  Node group() {
    bool look = false, negative = false;
    if (take('?')) {
      if (take('=')) {
        look = true;
      } else if (take('!')) {
        look = negative = true;
      } else if (!take(':')) {
        refuse("a group of a kind this reader does not know");
      }
    }
    Node inner = either();
    if (!take(')')) refuse("a group that does not end");
    if (!look) return inner;
    Node node{Node::kLook, {}, {}, 0, 0, negative};
    node.parts.push_back(std::move(inner));
    return node;
  }

  CharSet literal(uint32_t character) {
    if (categories_ && character >= 128) refuse("a character beyond ASCII beside a Unicode category");
    return CharSet(character, character);
  }

  /** What follows a backslash. */
  CharSet escape() {
    const uint32_t character = next();
    switch (character) {
      case 's': return whitespace();
      case 'S': return whitespace().complement();
      case 'd': return CharSet('0', '9');
      case 'n': return CharSet('\n', '\n');
      case 'r': return CharSet('\r', '\r');
      case 't': return CharSet('\t', '\t');
      case 'p': return category();
      default: break;
    }
    const bool named = (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
                       (character >= 'A' && character <= 'Z') || character >= 128;
    if (named) refuse("an escape this reader does not know");
    return CharSet(character, character);
  }

  CharSet category() {
    std::string name;
    if (!take('{')) refuse("a category without {");
    while (more() && peek() != '}' && name.size() < 8) name += static_cast<char>(next());
    if (!take('}')) refuse("a category without }");
    for (const Category& category : kCategories) {
      if (name != category.name) continue;
      CharSet set(category.byte, category.byte);
      for (const char* pair = category.ascii; *pair != 0; pair += 2) {
        set.add(static_cast<uint32_t>(pair[0]), static_cast<uint32_t>(pair[1]));
      }
      return set;
    }
    refuse("the category " + name);
  }

  CharSet bracket() {
    const bool negative = take('^');
    CharSet set;
    while (!take(']')) {
      bool single = false;
      const uint32_t first = bracket_item(set, single);
      const bool range = single && peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!range) {
        // After a class or a range a hyphen could be read in two ways.
        if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') refuse("a hyphen after a class");
        if (single) set.add(first, first);
        continue;
      }
      at_++;
      CharSet unused;
      const uint32_t last = bracket_item(unused, single);
      if (!single || last < first) refuse("a range that cannot be read");
      set.add(first, last);
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') refuse("a hyphen after a range");
    }
    return negative ? set.complement() : set;
  }

  /** One character of a bracket, or a class of characters, which goes into `set`. */
  uint32_t bracket_item(CharSet& set, bool& single) {
    const uint32_t character = next();
    single = true;
    if (character != '\\') return literal(character).ranges()[0].first;
    const CharSet escaped = escape();
    const auto& ranges = escaped.ranges();
    single = ranges.size() == 1 && ranges[0].first == ranges[0].last;
    // \p{M} is one character in llama.cpp's text, and still no end of a range.
    if (single && ranges[0].first >= 128) single = false;
    if (!single) set.add(escaped);
    return ranges[0].first;
  }

  const std::string& expression_;
  const std::vector<uint32_t> text_;
  const bool categories_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

bool names_category(const std::string& expression) {
  return std::any_of(std::begin(kCategories), std::end(kCategories), [&](const Category& category) {
    return expression.find(std::string("\\p{") + category.name + "}") != std::string::npos;
  });
}

Node read_pattern(const std::string& expression) { return Reader(expression).read(); }

bool may_be_empty(const Node& node) {
  switch (node.kind) {
    case Node::kSet: return false;
    case Node::kSequence: return std::all_of(node.parts.begin(), node.parts.end(), may_be_empty);
    case Node::kEither: return std::any_of(node.parts.begin(), node.parts.end(), may_be_empty);
    case Node::kRepeat: return node.least == 0 || may_be_empty(node.parts[0]);
    case Node::kLook:
    case Node::kEnd: return true;
  }
  return true;
}

}  // namespace zse
