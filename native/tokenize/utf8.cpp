#include "tokenize/utf8.h"

#include <array>
#include <stdexcept>

#include "base/work_bound.h"

namespace zse {

namespace {

constexpr size_t kCharactersPerStep = 64;

/** Bytes of the character that this one begins, 0 when it begins none. */
size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first < 0xC0) return 0;
  if (first < 0xE0) return 2;
  if (first < 0xF0) return 3;
  return first < 0xF8 ? 4 : 0;
}

/** Writes a character and gives the length. */
size_t encode(uint32_t character, char* out) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) {
    out[0] = static_cast<char>(character);
    return 1;
  }
  if (character < 0x800) {
    out[0] = static_cast<char>(0xC0 | (character >> 6));
    out[1] = tail(0);
    return 2;
  }
  if (character < 0x10000) {
    out[0] = static_cast<char>(0xE0 | (character >> 12));
    out[1] = tail(6);
    out[2] = tail(0);
    return 3;
  }
  if (character > 0x10FFFF) throw std::invalid_argument("invalid codepoint");
  out[0] = static_cast<char>(0xF0 | (character >> 18));
  out[1] = tail(12);
  out[2] = tail(6);
  out[3] = tail(0);
  return 4;
}

struct Letter {
  char bytes[2];
  uint8_t size;
};

/** GPT-2: printable bytes of Latin-1 are themselves, the others the characters from U+0100 on, in order. */
std::array<Letter, 256> byte_letters_table() {
  std::array<Letter, 256> table{};
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; byte++) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    Letter& letter = table[byte];
    char buffer[4];
    letter.size = static_cast<uint8_t>(encode(printable ? byte : next++, buffer));
    letter.bytes[0] = buffer[0];
    letter.bytes[1] = buffer[1];
  }
  return table;
}

}  // namespace

size_t utf8_length(const std::string& text, size_t at) {
  const size_t length = length_of(static_cast<unsigned char>(text[at]));
  if (at + length > text.size()) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

std::vector<uint32_t> decode_utf8(const std::string& text) {
  std::vector<uint32_t> characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (characters.size() % kCharactersPerStep == 0) work_step();
    const auto byte = [&](size_t place) { return static_cast<unsigned char>(text[place]); };
    if (byte(at) < 0x80) {
      characters.push_back(byte(at++));
      continue;
    }
    const size_t length = utf8_length(text, at);
    uint32_t character = length == 0 ? 0xFFFD : byte(at) & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) character = (character << 6) | (byte(at + i) & 0x3Fu);
    characters.push_back(character);
    at += length == 0 ? 1 : length;
  }
  return characters;
}

std::vector<std::string> encode_words(const std::vector<uint32_t>& characters, const std::vector<size_t>& lengths,
                                      bool byte_letters) {
  static const std::array<Letter, 256> letters = byte_letters_table();
  std::vector<std::string> words;
  words.reserve(lengths.size());
  size_t at = 0;
  for (const size_t length : lengths) {
    work_step();
    std::string& word = words.emplace_back();
    for (const size_t end = at + length; at < end; at++) {
      if (at % kCharactersPerStep == 0) work_step();
      char buffer[4];
      const size_t size = encode(characters[at], buffer);
      if (!byte_letters) {
        word.append(buffer, size);
        continue;
      }
      for (size_t i = 0; i < size; i++) {
        const Letter& letter = letters[static_cast<unsigned char>(buffer[i])];
        word.append(letter.bytes, letter.size);
      }
    }
  }
  return words;
}

}  // namespace zse
