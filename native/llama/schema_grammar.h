// Owns the way from a JSON Schema to the grammar of what it allows, by llama.cpp's converter. Pure, under a WorkBound; any thread.
#pragma once

#include <string>

#include "json.h"

struct common_chat_templates_inputs;

namespace zse {

/** A JSON Schema as its grammar is made of; the one without a rule is of any JSON. Throws BAD_OPTION. */
common_json read_schema(const std::string& text);

/** GBNF. Throws BAD_OPTION that begins with `where`. */
std::string grammar_of(const common_json& schema, const std::string& where);

/** Throws BAD_OPTION where a schema is what is wrong with what is asked for: each is converted by itself. */
void check_schemas(const common_chat_templates_inputs& inputs);

}  // namespace zse
