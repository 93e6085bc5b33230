#include "model_kind.h"

#include "base/error.h"
#include "files/gguf/header.h"

namespace zse {

FileKind kind_of_model(const std::string& path, Bytes bytes) {
  const std::string file = "\"" + path + "\"";
  if (bytes.size == 0) throw EngineError("BAD_MODEL", file + " is empty; download or copy the model again");
  const FileKind kind = kind_of(bytes);
  if (kind == FileKind::kZseLora) {
    throw EngineError("UNSUPPORTED", file + " is a LoRA adapter, not a model; give the model that it belongs to");
  }
  if (kind == FileKind::kUnknown) {
    throw EngineError("BAD_MODEL", file + " is not a model file: it begins with \"" +
                                       gguf::shown(bytes.text().substr(0, 4)) +
                                       "\", a GGUF file begins with \"GGUF\", a .zse file with \"ZSE\" and a byte 0 or 1");
  }
  return kind;
}

}  // namespace zse
