// Owns reading what stands before the weights in a GGUF file: metadata and tensor descriptions, every length checked against the
// bytes that are there before anything is allocated. Format: ggml/docs/gguf.md of the ggml project. Pure, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace zse::gguf {

/** What is wrong with a GGUF file, and the byte in the file where it stands. */
class FileError : public std::runtime_error {
 public:
  FileError(uint64_t position, const std::string& problem) : std::runtime_error(problem), position_(position) {}
  uint64_t position() const { return position_; }

 private:
  uint64_t position_;
};

enum class Type : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

/** Such as "uint32". */
const char* label_of(Type type);

/** Bytes of a value; 0 of those that have no fixed number of them. */
uint64_t width_of(Type type);

/** One metadata value. Its bytes are the file's; an array of strings stays as it is in the file until it is asked for. */
struct Value {
  Type type = Type::kUint8;  // of the value, or of an array's elements
  bool is_array = false;
  uint64_t count = 1;     // elements
  uint64_t position = 0;  // in the file, of the first element
  std::string_view bytes;
};

struct Tensor {
  std::string_view name;
  std::array<uint64_t, 4> shape{1, 1, 1, 1};  // GGUF's order: the row length first
  uint32_t rank = 0;
  uint32_t type = 0;      // ggml_type
  uint64_t position = 0;  // in the file, of the description
  uint64_t offset = 0;    // in the file, of the data
  uint64_t size = 0;      // bytes of the data
  uint64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
};

/** The names and values keep pointing into the bytes that were parsed. */
class Header {
 public:
  /**
   * Reads the header of a whole file.
   * @throws FileError when the file is not as the format says, or not whole
   */
  static Header parse(std::string_view bytes);
  /** The same, but for looking at a file: where it is wrong, what was read before that, and what is wrong there. */
  static Header parse_as_far(std::string_view bytes, std::optional<FileError>& fault);

  /** The bytes that were parsed. */
  std::string_view bytes() const { return bytes_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  /** Where the header ends, and the padding before the weights begins. 0 where parse_as_far did not come so far. */
  uint64_t size() const { return size_; }
  /** Where the weights begin. */
  uint64_t data() const { return (size_ + alignment_ - 1) / alignment_ * alignment_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<std::pair<std::string_view, Value>>& metadata() const { return metadata_; }

  const Tensor* tensor(std::string_view name) const;
  const Value* find(std::string_view key) const;

  /** The value of a key that may be absent. @throws FileError when it is of another type */
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<uint32_t> uint32(std::string_view key) const;
  std::optional<float> float32(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;

 private:
  void read(std::string_view bytes);

  std::string_view bytes_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  uint64_t size_ = 0;
  std::vector<std::pair<std::string_view, Value>> metadata_;
  std::map<std::string_view, size_t> keys_, names_;
  std::vector<Tensor> tensors_;
};

/** A text out of a file as it may be shown: control characters and bytes outside ASCII escaped, cut when it is long. */
std::string shown(std::string_view text, size_t longest = 64);

}  // namespace zse::gguf
