// Owns the file that one prefix is kept in: its layout, its checksums, and the distrust of what is read. Who names files, removes them and counts
// their folder is prefix_files. Any thread, which waits for the disk.
//
// A file is checked by checksums when it is read. They are no signatures: whoever can write it can forge it. So sizes are bounded before anything is
// allocated, and what the image holds is checked where it is used (decoder). With an app's key all of it lies in sealed sections (sealed_file).
// Layout, little-endian:
//   0  magic "ZSEKV" 0 0 3      8  key (16 bytes: of the model and its context's settings)   24  tokens u32    28  of the prompt u32
//   32 variant u64              40 image bytes u64     48 checksum of the tokens    56 checksum of the image   64 checkpoints u64
//   72 checksum of their table  80 checksum of the 80 bytes before
//   88 the tokens, i32 each; the table of checkpoints: for each tokens u64, bytes u64, checksum u64; the image; the checkpoints' states.
//   Checksums are XXH3 (64 bits, of the tokens with the variant for a seed), so are the names, of the tokens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "core/prompt.h"
#include "saved_prefix.h"
#include "sealed_file.h"

namespace zse {

class TemporaryFile;

/** Says which model and which settings of its context a slot's image belongs to. */
using CacheKey = std::array<uint8_t, 16>;

/** What became of reading a file. One that cannot be read now (no descriptors left, no permission, a disk that fails) may be good. */
enum class Reading { kGood, kBad, kFailed, kOtherKey };

/** What a reader takes. */
struct PrefixBounds {
  CacheKey key;
  size_t largest_image;                 // bytes that no image exceeds
  size_t most_tokens = SIZE_MAX;        // a file of more is kFailed: it is good for an engine with a larger context
  bool own = true;                      // only what this user has written, and nobody else can write
  std::optional<CacheSecret> secret{};  // whose files are sealed; then one that is not is bad
};

/** A file whose beginning has been read: all but the images. */
class PrefixFileReader {
 public:
  PrefixFileReader(const std::filesystem::path& path, const PrefixBounds& bounds);
  ~PrefixFileReader();

  /** kGood: what follows may be asked. */
  Reading reading() const { return reading_; }
  const Prompt& content() const { return content_; }
  Prompt take_content() { return std::move(content_); }
  int prompt_tokens() const { return prompt_tokens_; }
  /** Their places alone. */
  Checkpoints places() const;
  /** Of the file. */
  uint64_t bytes() const { return bytes_; }
  /** Of memory that the prefix will take. */
  uint64_t prefix_bytes() const;

  /** Reads the rest. */
  Reading read_images(std::shared_ptr<const SavedPrefix>& out);

 private:
  /** A line of the table of checkpoints, as it lies in the file. */
  struct TableLine {
    uint64_t tokens, bytes, checksum;
  };
  Reading open(const std::filesystem::path& path, const PrefixBounds& bounds);
  bool table_fits(size_t largest_image, uint64_t& bytes) const;
  Reading read_image(uint64_t bytes, uint64_t expected, std::shared_ptr<const SlotImage>& out);

  std::unique_ptr<StoredReader> file_;
  Prompt content_;
  int prompt_tokens_ = 0;
  uint64_t bytes_ = 0, image_bytes_ = 0, image_checksum_ = 0;
  std::vector<TableLine> table_;
  Reading reading_;
};

/** Of the file that a prefix will be. */
uint64_t prefix_file_bytes(const SavedPrefix& prefix, const std::optional<CacheSecret>& secret = {});

/** Writes all of it, onto the disk; who publishes the file is the caller's. */
bool write_prefix_file(TemporaryFile& file, const CacheKey& key, const SavedPrefix& prefix,
                       const std::optional<CacheSecret>& secret = {});

}  // namespace zse
