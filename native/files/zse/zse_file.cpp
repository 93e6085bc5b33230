#include "zse_file.h"

#include <cstring>

#include "base/error.h"
#include "base/refuse.h"
#include "generation1.h"
#include "generation2.h"
#include "layout.h"

namespace zse {

FileKind kind_of(Bytes head) {
  if (head.size < 4) return FileKind::kUnknown;
  const auto begins = [&](const char* magic) { return std::memcmp(head.data, magic, 4) == 0; };
  if (begins("GGUF")) return FileKind::kGguf;
  if (begins("ZSE\1")) return FileKind::kZse2;
  if (begins("ZSE\0")) return FileKind::kZse1;
  if (begins("ZLRA")) return FileKind::kZseLora;
  return FileKind::kUnknown;
}

std::shared_ptr<const ZseFile> ZseFile::open(const std::string& path, const ZseOpenOptions& options) {
  const std::shared_ptr<const FileMap> map = FileMap::open(path);
  try {
    return read(map, map->bytes(), options);
  } catch (const EngineError& e) {
    throw EngineError(e.code(), "\"" + path + "\": " + e.what());
  }
}

std::shared_ptr<const ZseFile> ZseFile::parse(Bytes bytes, const ZseOpenOptions& options) {
  return read(nullptr, bytes, options);
}

std::shared_ptr<const ZseFile> ZseFile::read(std::shared_ptr<const FileMap> map, Bytes bytes,
                                             const ZseOpenOptions& options) {
  std::shared_ptr<ZseFile> file(new ZseFile);
  file->bytes_ = bytes;
  switch (kind_of(bytes)) {
    case FileKind::kZse1: file->contents_ = parse_generation1(bytes); break;
    case FileKind::kZse2: file->contents_ = parse_generation2(bytes); break;
    case FileKind::kZseLora: unsupported("this is a LoRA adapter (.zse-lora), not a model; open the model it belongs to");
    default: refuse(0, "this is not a .zse model: it begins neither with \"ZSE\" 00 nor with \"ZSE\" 01");
  }
  check_index(file->contents_.tensors);
  decide_layouts(bytes, map.get(), file->contents_, options);
  if (map) map->check_whole();
  file->map_ = std::move(map);
  const auto& tensors = file->contents_.tensors;
  for (size_t i = 0; i < tensors.size(); i++) file->index_.emplace(tensors[i].name, i);
  return file;
}

const Tensor* ZseFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &contents_.tensors[found->second];
}

}  // namespace zse
