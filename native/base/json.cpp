#include "json.h"

#include <cmath>
#include <limits>

#include "refuse.h"

namespace zse {

namespace {

constexpr int kDepthLimit = 64;

[[noreturn]] void wrong_type(const char* key, const char* wanted, const Json& found, uint64_t offset) {
  refuse(offset, std::string("\"") + key + "\" should be " + wanted + " and is of type " + found.type_name());
}

}  // namespace

Json parse_json(std::string_view text, uint64_t offset, const std::string& what, uint64_t most) {
  if (text.size() > most) {
    refuse(offset, what + " has " + std::to_string(text.size()) + " bytes; " + std::to_string(most) + " are allowed");
  }
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > kDepthLimit) throw std::runtime_error("nested more than 64 deep");
      return true;
    });
  } catch (const Json::parse_error& e) {
    refuse(offset + std::min<uint64_t>(e.byte, text.size()), what + " is not valid JSON");
  } catch (const Json::exception&) {  // a number such as 1e999
    refuse(offset, what + " holds a number that is too large");
  } catch (const std::runtime_error& e) {
    refuse(offset, what + " is " + e.what());
  }
}

const Json* field(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

int64_t integer_field(const Json& object, const char* key, int64_t fallback, uint64_t offset) {
  const Json* value = field(object, key);
  if (!value) return fallback;
  if (!value->is_number_integer()) wrong_type(key, "an integer", *value, offset);
  if (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    refuse(offset, std::string("\"") + key + "\" is too large");
  }
  return value->get<int64_t>();
}

double number_field(const Json& object, const char* key, double fallback, uint64_t offset) {
  const Json* value = field(object, key);
  if (!value) return fallback;
  if (!value->is_number()) wrong_type(key, "a number", *value, offset);
  return value->get<double>();
}

bool boolean_field(const Json& object, const char* key, bool fallback, uint64_t offset) {
  const Json* value = field(object, key);
  if (!value) return fallback;
  if (!value->is_boolean()) wrong_type(key, "a boolean", *value, offset);
  return value->get<bool>();
}

std::string text_field(const Json& object, const char* key, const std::string& fallback, uint64_t offset) {
  const Json* value = field(object, key);
  if (!value) return fallback;
  if (!value->is_string()) wrong_type(key, "a string", *value, offset);
  return value->get<std::string>();
}

}  // namespace zse
