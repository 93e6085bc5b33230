// Owns the chat templates of models whose file has none, and which of them a vocabulary calls for. Pure; any thread.
#pragma once

#include <functional>
#include <string>

namespace zse {

/** The fallback for a vocabulary in which `has_token` finds control tokens by their text: chatml, llama3, gemma, phi3 or llama2. */
std::string fallback_template_name(const std::function<bool(const char*)>& has_token, const std::string& architecture);

/** Its Jinja source. */
std::string fallback_template(const std::string& name);

}  // namespace zse
