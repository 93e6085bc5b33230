// Owns what is checked and normalized of the JSON that a request brings for the chat template, and what llama.cpp's readers and templates say of it, in
// one line. Under a WorkBound; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "json.h"

namespace zse {

/** Throws BAD_OPTION where a text of JSON nests too deeply or has too many keys to be read. `where`: its name for people. */
void check_shape(const std::string& json, const std::string& where);

/** Checks the JSON inside of the messages' JSON, and gives the bytes of their contents. */
size_t check_messages(const common_json& messages);

/** Every string of a value in the form that the vocabulary wants (NFC), in place. Its depth has been checked. */
void normalize_strings(common_json& value);

/** What a template said, in one line of 500 bytes at most: llama.cpp puts some lines of its source before that. */
std::string reason_of(const std::string& message);

}  // namespace zse
