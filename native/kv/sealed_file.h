// Owns what lies between a file of the prompt cache and the disk: nothing, or, where the app has given a key, encryption. What is above writes and
// reads the same bytes either way. File thread, and whoever opens the folder.
//
// A sealed file, little-endian: 0 magic "ZSEKVX" 0 1   8 salt (16 bytes, drawn for each file)   24 sections of 65,536 bytes, each with a tag of 16
// bytes behind it; the last may be shorter. A section's nonce is its number and whether it is the last, so that none can be moved or left out. The
// salt makes the file's own key (derive_key).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/aead.h"
#include "temporary_file.h"

namespace zse {

/** What is made of an app's key: one for what files hold, another for what they are called. */
class CacheSecret {
 public:
  explicit CacheSecret(const AeadKey& key);

  /** Of one file. */
  AeadKey of_file(const std::array<uint8_t, 16>& salt) const { return derive_key(files_, salt); }
  /** A name that tells nothing of what it stands for to who has not the key. */
  std::array<uint8_t, 16> name_of(const std::array<uint8_t, 16>& what) const;

 private:
  AeadKey files_, names_;
};

/** Whether a file says of itself that it is sealed. */
bool says_sealed(const std::filesystem::path& path);

/** Of the file on disk that holds so many bytes. */
uint64_t stored_bytes(const std::optional<CacheSecret>& secret, uint64_t bytes);

class StoredWriter {
 public:
  StoredWriter(TemporaryFile& file, const std::optional<CacheSecret>& secret) : file_(file), secret_(secret) {}

  bool write(const void* bytes, size_t size);
  /** All of it is on the disk then. */
  bool finish();

 private:
  bool begin();
  bool seal(bool last);

  TemporaryFile& file_;
  const std::optional<CacheSecret>& secret_;
  std::vector<uint8_t> head_, section_;
  AeadKey key_{};
  uint64_t number_ = 0;
};

class StoredReader {
 public:
  /** Takes the descriptor (temporary_file's open_own_file()), which may be -1. `length`: of the file. */
  StoredReader(int descriptor, uint64_t length, const std::optional<CacheSecret>& secret);

  bool is_open() const { return file_ != nullptr; }
  /** Bytes that can be read if the file is sound. 0: it is not. */
  uint64_t length() const { return length_; }
  /** Exactly so many. False: the file is bad, or failed(). */
  bool read(void* out, size_t size);
  /** It could not be read at the moment, and may be good. */
  bool failed() const { return std::ferror(file_.get()) != 0; }

 private:
  bool begin();
  bool next_section();

  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Closer> file_;
  const std::optional<CacheSecret> secret_;
  uint64_t length_, left_;
  std::vector<uint8_t> head_, section_;
  size_t taken_ = 0;  // of the section
  AeadKey key_{};
  uint64_t number_ = 0;
};

}  // namespace zse
