// Owns what kind of model a file is, for whoever opens, inspects or converts one: told by its content, never by its name, and with the
// same sentence for the same mistake. Pure; any thread.
#pragma once

#include <string>

#include "files/zse/zse_file.h"

namespace zse {

/** Of a file's bytes; kGguf, kZse1 or kZse2. Throws EngineError BAD_MODEL or UNSUPPORTED, with the path and what is wrong, for what is no model. */
FileKind kind_of_model(const std::string& path, Bytes bytes);

}  // namespace zse
