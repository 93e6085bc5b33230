// Owns text as characters: UTF-8 in and out as llama.cpp's tokenizers read and write it, and GPT-2's letters for bytes. On the
// thread that tokenizes, under its bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace zse {

/** Bytes of the character that begins there, 0 where none does. */
size_t utf8_length(const std::string& text, size_t at);

/** Characters of a text; each byte that begins none is U+FFFD. Overlong forms and surrogates are read, as llama.cpp does. */
std::vector<uint32_t> decode_utf8(const std::string& text);

/**
 * The words of a text, given how many characters each has, as UTF-8 or with each byte of that as GPT-2's letter for it.
 * Throws std::invalid_argument for a character beyond Unicode.
 */
std::vector<std::string> encode_words(const std::vector<uint32_t>& characters, const std::vector<size_t>& lengths,
                                      bool byte_letters);

}  // namespace zse
