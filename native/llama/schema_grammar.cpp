#include "schema_grammar.h"

#include <exception>

#include "base/error.h"
#include "chat.h"
#include "chat_json.h"
#include "json-schema-to-grammar.h"

namespace zse {

common_json read_schema(const std::string& text) {
  check_shape(text, "responseFormat.schema");
  try {
    common_json schema = common_json::parse(text);
    if (schema.is_object() && schema.empty()) {
      schema = common_json::parse(R"({"type":["object","array","string","number","boolean","null"]})");
    }
    return schema;
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", "responseFormat cannot be used: " + reason_of(e.what()));
  }
}

std::string grammar_of(const common_json& schema, const std::string& where) {
  try {
    return json_schema_to_grammar(schema);
  } catch (const std::exception& e) {
    throw EngineError("BAD_OPTION", where + " cannot be used: " + reason_of(e.what()));
  }
}

void check_schemas(const common_chat_templates_inputs& inputs) {
  if (!inputs.json_schema.empty()) grammar_of(common_json::parse(inputs.json_schema), "responseFormat");
  for (size_t i = 0; i < inputs.tools.size(); i++) {
    const std::string& parameters = inputs.tools[i].parameters;
    if (parameters.empty()) continue;
    grammar_of(common_json::parse(parameters), "tools[" + std::to_string(i) + "].function.parameters");
  }
}

}  // namespace zse
