// Owns parsing the JSON inside generation 1 files, which is as untrusted as the rest. Any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "bytes.h"

namespace zse {

using Json = nlohmann::json;

/**
 * `offset` is of the text in the file, `what` names it; `most` bytes are taken at most, since a tree takes several times its text. Throws
 * BAD_MODEL for what is not JSON, or nests deeper than 64.
 */
Json parse_json(std::string_view text, uint64_t offset, const std::string& what, uint64_t most);

// Fields of an object; a missing or null one gives the fallback, one of another type BAD_MODEL naming `key`.

int64_t integer_field(const Json& object, const char* key, int64_t fallback, uint64_t offset);
double number_field(const Json& object, const char* key, double fallback, uint64_t offset);
bool boolean_field(const Json& object, const char* key, bool fallback, uint64_t offset);
std::string text_field(const Json& object, const char* key, const std::string& fallback, uint64_t offset);
/** Null where there is none. */
const Json* field(const Json& object, const char* key);

}  // namespace zse
