#include "header.h"

#include <cstdio>
#include <cstring>
#include <limits>

#include "ggml.h"

namespace zse::gguf {

namespace {

// llama.cpp looks for duplicates by comparing each with each: more than any model has would take minutes.
constexpr uint64_t kMostKeys = 1 << 13;
constexpr uint64_t kMostTensors = 1 << 16;
constexpr uint64_t kLongestTensorName = GGML_MAX_NAME - 1;
constexpr uint32_t kMostDimensions = 4;

/** Takes values off the front of the file; every one is checked against the end. */
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  std::string_view take(uint64_t size, const std::string& what) {
    if (size > left()) {
      throw FileError(position_, what + " should have " + std::to_string(size) + " bytes, and the file ends after " +
                                     std::to_string(left()));
    }
    const std::string_view taken = bytes_.substr(position_, size);
    position_ += size;
    return taken;
  }

  template <class Number>
  Number number(const std::string& what) {
    Number value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view text(const std::string& what) {
    const auto length = number<uint64_t>("the length of " + what);
    return take(length, what);
  }

 private:
  std::string_view bytes_;
  uint64_t position_ = 0;
};

template <class Number>
Number number_of(const Value& value) {
  Number number;
  std::memcpy(&number, value.bytes.data(), sizeof number);
  return number;
}

Value read_value(Cursor& cursor, const std::string& what) {
  const auto read_type = [&] {
    const uint64_t at = cursor.position();
    const auto type = cursor.number<uint32_t>("the type of " + what);
    if (type > static_cast<uint32_t>(Type::kFloat64)) {
      throw FileError(at, what + " has the type " + std::to_string(type) + "; types go from 0 to 12");
    }
    return static_cast<Type>(type);
  };
  Value value;
  value.type = read_type();
  if (value.type == Type::kArray) {
    value.is_array = true;
    const uint64_t at = cursor.position();
    value.type = read_type();
    if (value.type == Type::kArray) throw FileError(at, what + " is an array of arrays, which llama.cpp does not read");
    value.count = cursor.number<uint64_t>("the length of " + what);
  }
  value.position = cursor.position();
  const uint64_t least = value.type == Type::kString ? 8 : width_of(value.type);
  if (value.count > cursor.left() / least) {
    throw FileError(value.position, what + " should have " + std::to_string(value.count) + " elements of " +
                                        std::to_string(least) + " bytes or more, and the file ends after " +
                                        std::to_string(cursor.left()) + " bytes");
  }
  if (value.type == Type::kString) {
    Cursor start = cursor;
    for (uint64_t i = 0; i < value.count; i++) cursor.text(what);
    value.bytes = start.take(cursor.position() - start.position(), what);
  } else {
    value.bytes = cursor.take(value.count * width_of(value.type), what);
  }
  return value;
}

/** Bytes of a tensor of this type and shape; refuses what overflows or is no whole number of blocks. */
uint64_t size_of(const Tensor& tensor, const std::string& what) {
  const auto type = static_cast<ggml_type>(tensor.type);
  const int64_t block = tensor.type < GGML_TYPE_COUNT ? ggml_blck_size(type) : 0;
  if (block <= 0 || ggml_type_size(type) == 0) {
    throw FileError(tensor.position, what + " has the ggml type " + std::to_string(tensor.type) + ", which there is not");
  }
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t elements = 1;
  for (const uint64_t length : tensor.shape) {
    if (length == 0) throw FileError(tensor.position, what + " has a dimension of 0");
    if (length > kMost / elements) throw FileError(tensor.position, what + " has more elements than can be counted");
    elements *= length;
  }
  if (tensor.shape[0] % block != 0) {
    throw FileError(tensor.position, what + " has rows of " + std::to_string(tensor.shape[0]) + " elements, which are no " +
                                         "whole number of " + ggml_type_name(type) + " blocks of " + std::to_string(block));
  }
  const uint64_t blocks = elements / block;
  if (blocks > kMost / ggml_type_size(type)) throw FileError(tensor.position, what + " is larger than can be counted");
  return blocks * ggml_type_size(type);
}

}  // namespace

uint64_t width_of(Type type) {
  switch (type) {
    case Type::kUint8:
    case Type::kInt8:
    case Type::kBool: return 1;
    case Type::kUint16:
    case Type::kInt16: return 2;
    case Type::kUint32:
    case Type::kInt32:
    case Type::kFloat32: return 4;
    case Type::kUint64:
    case Type::kInt64:
    case Type::kFloat64: return 8;
    case Type::kString:
    case Type::kArray: break;
  }
  return 0;
}

const char* label_of(Type type) {
  static constexpr const char* kLabels[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                            "bool",  "string", "array",  "uint64", "int64",  "float64"};
  return kLabels[static_cast<uint32_t>(type)];
}

std::string shown(std::string_view text, size_t longest) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= longest) return out + "…";
    const auto byte = static_cast<unsigned char>(c);
    char hex[5];
    std::snprintf(hex, sizeof hex, "\\x%02x", byte);
    out += byte >= 0x20 && byte < 0x7F ? std::string(1, c) : hex;
  }
  return out;
}

Header Header::parse(std::string_view bytes) {
  Header header;
  header.read(bytes);
  return header;
}

Header Header::parse_as_far(std::string_view bytes, std::optional<FileError>& fault) {
  Header header;
  try {
    header.read(bytes);
  } catch (const FileError& error) {
    fault = error;
  }
  return header;
}

void Header::read(std::string_view bytes) {
  Cursor cursor(bytes);
  bytes_ = bytes;
  if (cursor.take(4, "the magic number") != "GGUF") throw FileError(0, "the file does not begin with \"GGUF\"");
  version_ = cursor.number<uint32_t>("the version");
  if (version_ != 2 && version_ != 3) {
    throw FileError(4, "the version of GGUF is " + std::to_string(version_) + "; 2 and 3 can be read");
  }
  const uint64_t counts_at = cursor.position();
  const auto tensor_count = cursor.number<uint64_t>("the number of tensors");
  const auto key_count = cursor.number<uint64_t>("the number of metadata keys");
  if (tensor_count > kMostTensors) {
    throw FileError(counts_at, "the file says it has " + std::to_string(tensor_count) + " tensors; " +
                                   std::to_string(kMostTensors) + " at most are read");
  }
  if (key_count > kMostKeys) {
    throw FileError(counts_at + 8, "the file says it has " + std::to_string(key_count) + " metadata keys; " +
                                       std::to_string(kMostKeys) + " at most are read");
  }

  for (uint64_t i = 0; i < key_count; i++) {
    const uint64_t at = cursor.position();
    const std::string_view key = cursor.text("the name of metadata key " + std::to_string(i));
    const std::string what = "metadata key \"" + shown(key) + "\"";
    if (key.empty()) throw FileError(at, "metadata key " + std::to_string(i) + " has no name");
    if (keys_.count(key) > 0) throw FileError(at, what + " is there twice");
    metadata_.emplace_back(key, read_value(cursor, what));
    keys_.emplace(key, metadata_.size() - 1);
  }

  if (const auto alignment = uint32("general.alignment")) {
    // llama.cpp maps the file and hands ggml the tensors where they lie; ggml's kernels want them on 32 bytes.
    if (*alignment < 32 || (*alignment & (*alignment - 1)) != 0) {
      throw FileError(find("general.alignment")->position,
                      "general.alignment is " + std::to_string(*alignment) + "; it must be a power of 2 from 32 up");
    }
    alignment_ = *alignment;
  }

  for (uint64_t i = 0; i < tensor_count; i++) {
    Tensor tensor;
    tensor.position = cursor.position();
    tensor.name = cursor.text("the name of tensor " + std::to_string(i));
    const std::string what = "tensor \"" + shown(tensor.name) + "\"";
    if (tensor.name.size() > kLongestTensorName || tensor.name.find('\0') != std::string_view::npos) {
      throw FileError(tensor.position, what + " has a name that ggml cannot keep (" + std::to_string(kLongestTensorName) +
                                           " bytes at most, none of them 0)");
    }
    if (names_.count(tensor.name) > 0) throw FileError(tensor.position, what + " is there twice");
    tensor.rank = cursor.number<uint32_t>("the rank of " + what);
    if (tensor.rank > kMostDimensions) {
      throw FileError(tensor.position, what + " has " + std::to_string(tensor.rank) + " dimensions; 4 at most are read");
    }
    for (uint32_t d = 0; d < tensor.rank; d++) tensor.shape[d] = cursor.number<uint64_t>("a dimension of " + what);
    tensor.type = cursor.number<uint32_t>("the type of " + what);
    tensor.offset = cursor.number<uint64_t>("the offset of " + what);  // from where the weights begin, for now
    tensor.size = size_of(tensor, what);
    tensors_.push_back(tensor);
    names_.emplace(tensor.name, i);
  }

  size_ = cursor.position();
  const uint64_t mask = alignment_ - 1;
  const uint64_t begin = data();
  uint64_t expected = 0;  // llama.cpp reads tensors that lie one after the other, in the order of their descriptions, only
  for (Tensor& tensor : tensors_) {
    const std::string what = "tensor \"" + shown(tensor.name) + "\"";
    if (tensor.offset != expected) {
      throw FileError(tensor.position, what + " has the offset " + std::to_string(tensor.offset) +
                                           ", and those before it end at " + std::to_string(expected));
    }
    if (begin > bytes.size() || expected > bytes.size() - begin || tensor.size > bytes.size() - begin - expected) {
      throw FileError(tensor.position, what + " has " + std::to_string(tensor.size) + " bytes from byte " +
                                           std::to_string(begin + expected) + " on, and the file ends at " +
                                           std::to_string(bytes.size()));
    }
    tensor.offset = begin + expected;
    expected += (tensor.size + mask) & ~mask;
  }
}

const Tensor* Header::tensor(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &tensors_[found->second];
}

const Value* Header::find(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &metadata_[found->second].second;
}

namespace {

const Value* scalar(const Header& header, std::string_view key, Type type) {
  const Value* value = header.find(key);
  if (value && (value->is_array || value->type != type)) {
    throw FileError(value->position, "metadata key \"" + shown(key) + "\" is " +
                                         (value->is_array ? "an array of " : "of type ") + label_of(value->type) +
                                         "; it must be of type " + label_of(type));
  }
  return value;
}

}  // namespace

std::optional<std::string_view> Header::text(std::string_view key) const {
  const Value* value = scalar(*this, key, Type::kString);
  if (!value) return std::nullopt;
  return value->bytes.substr(8);
}

std::optional<uint32_t> Header::uint32(std::string_view key) const {
  const Value* value = scalar(*this, key, Type::kUint32);
  if (!value) return std::nullopt;
  return number_of<uint32_t>(*value);
}

std::optional<float> Header::float32(std::string_view key) const {
  const Value* value = scalar(*this, key, Type::kFloat32);
  if (!value) return std::nullopt;
  return number_of<float>(*value);
}

std::optional<bool> Header::boolean(std::string_view key) const {
  const Value* value = scalar(*this, key, Type::kBool);
  if (!value) return std::nullopt;
  return value->bytes[0] != 0;
}

std::optional<std::vector<std::string_view>> Header::texts(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_array || value->type != Type::kString) {
    throw FileError(value->position, "metadata key \"" + shown(key) + "\" is not an array of strings");
  }
  std::vector<std::string_view> texts;
  texts.reserve(value->count);
  Cursor cursor(value->bytes);
  for (uint64_t i = 0; i < value->count; i++) texts.push_back(cursor.text("an element"));
  return texts;
}

}  // namespace zse::gguf
