#include "prefix_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "temporary_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fs = std::filesystem;

namespace zse {

namespace {

constexpr char kMagic[8] = {'Z', 'S', 'E', 'K', 'V', 0, 0, 3};
constexpr uint32_t kMostTokens = 1 << 24;  // the longest context there can be: nothing larger is read in
constexpr uint64_t kMostCheckpoints = 64;  // far more than a slot keeps

struct Header {
  char magic[8];
  uint8_t key[16];
  uint32_t tokens, prompt_tokens;
  Variant variant;
  uint64_t image_bytes, tokens_checksum, image_checksum, checkpoints, table_checksum, header_checksum;
};
static_assert(sizeof(Header) == 88, "the header is written as it lies in memory");

constexpr size_t kLineBytes = 24;

uint64_t checksum(const void* bytes, size_t size) { return XXH3_64bits(bytes, size); }

uint64_t header_checksum(const Header& header) { return checksum(&header, offsetof(Header, header_checksum)); }

/** Reads exactly so many bytes; a file that ends before is bad. */
Reading read_exactly(StoredReader& file, void* out, size_t size) {
  if (file.read(out, size)) return Reading::kGood;
  return file.failed() ? Reading::kFailed : Reading::kBad;
}

}  // namespace

PrefixFileReader::PrefixFileReader(const fs::path& path, const PrefixBounds& bounds) : reading_(open(path, bounds)) {
  if (reading_ != Reading::kGood) file_.reset();
}

PrefixFileReader::~PrefixFileReader() = default;

/** Whether the table is of places within the prefix, in order, and of no more bytes than these; takes off what it is of. */
bool PrefixFileReader::table_fits(size_t largest_image, uint64_t& bytes) const {
  uint64_t before = 0;
  for (const TableLine& line : table_) {
    if (line.tokens <= before || line.tokens > content_.size() || line.bytes > largest_image || line.bytes > bytes)
      return false;
    before = line.tokens;
    bytes -= line.bytes;
  }
  return true;
}

/** What stands before the images, checked against each other, against the file's length and against what there can be. */
Reading PrefixFileReader::open(const fs::path& path, const PrefixBounds& bounds) {
  static_assert(sizeof(TableLine) == kLineBytes, "the table is written as it lies in memory");
  std::error_code error;
  const uint64_t stored = fs::file_size(path, error);
  const int descriptor = error ? -1 : bounds.own ? open_own_file(path) : open_any_file(path);
  if (descriptor < 0) return Reading::kFailed;
  file_ = std::make_unique<StoredReader>(descriptor, stored, bounds.secret);
  if (!file_->is_open()) return Reading::kFailed;
  const uint64_t length = file_->length();
  Header header{};
  Reading reading = read_exactly(*file_, &header, sizeof header);
  if (reading != Reading::kGood) return reading;
  const bool sound = std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 &&
                     header_checksum(header) == header.header_checksum && header.prompt_tokens <= header.tokens &&
                     header.tokens > 0 && header.tokens <= kMostTokens && header.checkpoints <= kMostCheckpoints;
  if (!sound) return Reading::kBad;
  if (std::memcmp(header.key, bounds.key.data(), bounds.key.size()) != 0) return Reading::kOtherKey;
  if (header.image_bytes > bounds.largest_image) return Reading::kBad;
  const uint64_t body = length - sizeof(Header), token_bytes = uint64_t{header.tokens} * sizeof(Token);
  const uint64_t table_bytes = header.checkpoints * sizeof(TableLine);
  if (token_bytes + table_bytes > body || header.image_bytes > body - token_bytes - table_bytes) return Reading::kBad;
  if (header.tokens > bounds.most_tokens) return Reading::kFailed;
  std::vector<Token> tokens(header.tokens);
  reading = read_exactly(*file_, tokens.data(), token_bytes);
  content_ = Prompt(std::move(tokens), header.variant);
  if (reading != Reading::kGood) return reading;
  table_.resize(header.checkpoints);
  reading = read_exactly(*file_, table_.data(), table_bytes);
  if (reading != Reading::kGood) return reading;
  uint64_t rest = body - token_bytes - table_bytes - header.image_bytes;
  const bool whole =
      checksum(table_.data(), table_bytes) == header.table_checksum && table_fits(bounds.largest_image, rest) && rest == 0;
  prompt_tokens_ = static_cast<int>(header.prompt_tokens);
  image_bytes_ = header.image_bytes;
  image_checksum_ = header.image_checksum;
  bytes_ = stored;
  return whole && content_.hash() == header.tokens_checksum ? Reading::kGood : Reading::kBad;
}

Checkpoints PrefixFileReader::places() const {
  Checkpoints places;
  for (const TableLine& line : table_) places.push_back({static_cast<int>(line.tokens), nullptr});
  return places;
}

uint64_t PrefixFileReader::prefix_bytes() const {
  uint64_t bytes = image_bytes_ + content_.bytes();
  for (const TableLine& line : table_) bytes += line.bytes;
  return bytes;
}

/** Reads so many bytes that have this checksum. */
Reading PrefixFileReader::read_image(uint64_t bytes, uint64_t expected, std::shared_ptr<const SlotImage>& out) {
  auto image = std::make_shared<SlotImage>(bytes);
  const Reading reading = read_exactly(*file_, image->data(), image->size());
  if (reading != Reading::kGood) return reading;
  if (checksum(image->data(), image->size()) != expected) return Reading::kBad;
  out = std::move(image);
  return Reading::kGood;
}

Reading PrefixFileReader::read_images(std::shared_ptr<const SavedPrefix>& out) {
  auto prefix = std::make_shared<SavedPrefix>();
  Reading reading = read_image(image_bytes_, image_checksum_, prefix->image);
  prefix->checkpoints = places();
  for (size_t i = 0; i < table_.size() && reading == Reading::kGood; i++)
    reading = read_image(table_[i].bytes, table_[i].checksum, prefix->checkpoints[i].state);
  file_.reset();
  if (reading != Reading::kGood) return reading;
  prefix->content = content_;
  prefix->prompt_tokens = prompt_tokens_;
  out = std::move(prefix);
  return Reading::kGood;
}

uint64_t prefix_file_bytes(const SavedPrefix& prefix, const std::optional<CacheSecret>& secret) {
  return stored_bytes(secret, sizeof(Header) + prefix.checkpoints.size() * kLineBytes + prefix.bytes());
}

bool write_prefix_file(TemporaryFile& file, const CacheKey& key, const SavedPrefix& prefix,
                       const std::optional<CacheSecret>& secret) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::memcpy(header.key, key.data(), key.size());
  header.tokens = static_cast<uint32_t>(prefix.content.size());
  header.prompt_tokens = static_cast<uint32_t>(prefix.prompt_tokens);
  header.variant = prefix.content.variant();
  header.image_bytes = prefix.image->size();
  header.tokens_checksum = prefix.content.hash();
  header.image_checksum = checksum(prefix.image->data(), prefix.image->size());
  std::vector<uint64_t> table;  // three for each line
  for (const Checkpoint& checkpoint : prefix.checkpoints) {
    const SlotImage& state = *checkpoint.state;
    for (const uint64_t number : {static_cast<uint64_t>(checkpoint.tokens), static_cast<uint64_t>(state.size()),
                                  checksum(state.data(), state.size())}) {
      table.push_back(number);
    }
  }
  const size_t table_bytes = table.size() * sizeof(uint64_t);
  header.checkpoints = prefix.checkpoints.size();
  header.table_checksum = checksum(table.data(), table_bytes);
  header.header_checksum = header_checksum(header);
  StoredWriter out(file, secret);
  const auto write = [&out](const SlotImage& image) { return out.write(image.data(), image.size()); };
  return out.write(&header, sizeof header) && out.write(prefix.content.tokens().data(), prefix.content.bytes()) &&
         out.write(table.data(), table_bytes) && write(*prefix.image) &&
         std::all_of(prefix.checkpoints.begin(), prefix.checkpoints.end(),
                     [&](const auto& at) { return write(*at.state); }) &&
         out.finish();
}

}  // namespace zse
