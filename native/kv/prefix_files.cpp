#include "prefix_files.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "prefix_folder.h"
#include "temporary_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#ifdef _WIN32
#include <io.h>
#define fdopen _fdopen
#endif

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

/** A line of the table of checkpoints. */
struct TableLine {
  uint64_t tokens, bytes, checksum;
};
static_assert(sizeof(TableLine) == 24, "the table is written as it lies in memory");

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

File open_to_read(const fs::path& path) {
  const int descriptor = open_own_file(path);
  return File(descriptor < 0 ? nullptr : fdopen(descriptor, "rb"));
}

uint64_t checksum(const void* bytes, size_t size) { return XXH3_64bits(bytes, size); }

uint64_t header_checksum(const Header& header) { return checksum(&header, offsetof(Header, header_checksum)); }

// Tokens of all files that are kept in mind: far more than sound files of any limit have, since an image is much larger than its tokens.
constexpr size_t kMostScanned = size_t{64} << 20;

/** What became of reading a file. One that cannot be read now (no descriptors left, no permission, a disk that fails) may be good. */
enum class Reading { kGood, kBad, kFailed };

/** Reads exactly so many bytes; a file that ends before is bad. */
Reading read_exactly(std::FILE* file, void* out, size_t size) {
  if (size == 0 || std::fread(out, 1, size, file) == size) return Reading::kGood;
  return std::ferror(file) != 0 ? Reading::kFailed : Reading::kBad;
}

/** What stands before the numbers of a file, checked against each other, against the file's length and against what there can be. */
struct Opened {
  File file;
  Header header;
  Prompt content;
  std::vector<TableLine> table;
};

/** Whether the table is of places within a prefix, in order, and of no more bytes than these; takes off what it is of. */
bool table_fits(const std::vector<TableLine>& table, uint64_t tokens, size_t largest_image, uint64_t& bytes) {
  uint64_t before = 0;
  for (const TableLine& line : table) {
    if (line.tokens <= before || line.tokens > tokens || line.bytes > largest_image || line.bytes > bytes) return false;
    before = line.tokens;
    bytes -= line.bytes;
  }
  return true;
}
Reading open_checked(const fs::path& path, const CacheKey& key, size_t largest_image, size_t most_tokens, Opened& opened) {
  std::error_code error;
  const uint64_t length = fs::file_size(path, error);
  opened.file = error ? nullptr : open_to_read(path);
  if (!opened.file) return Reading::kFailed;
  Header& header = opened.header;
  Reading reading = read_exactly(opened.file.get(), &header, sizeof header);
  if (reading != Reading::kGood) return reading;
  const bool sound =
      std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 && header_checksum(header) == header.header_checksum &&
      std::memcmp(header.key, key.data(), key.size()) == 0 && header.prompt_tokens <= header.tokens &&
      header.tokens <= kMostTokens && header.image_bytes <= largest_image && header.checkpoints <= kMostCheckpoints;
  const uint64_t body = length - sizeof(Header), token_bytes = uint64_t{header.tokens} * sizeof(Token);
  if (!sound || header.tokens == 0) return Reading::kBad;
  const uint64_t table_bytes = header.checkpoints * sizeof(TableLine);
  if (token_bytes + table_bytes > body || header.image_bytes > body - token_bytes - table_bytes) return Reading::kBad;
  if (header.tokens > most_tokens) return Reading::kFailed;  // it is good for an engine with a larger context
  std::vector<Token> tokens(header.tokens);
  reading = read_exactly(opened.file.get(), tokens.data(), token_bytes);
  opened.content = Prompt(std::move(tokens), header.variant);
  if (reading != Reading::kGood) return reading;
  opened.table.resize(header.checkpoints);
  reading = read_exactly(opened.file.get(), opened.table.data(), table_bytes);
  if (reading != Reading::kGood) return reading;
  uint64_t rest = body - token_bytes - table_bytes - header.image_bytes;
  const bool whole = checksum(opened.table.data(), table_bytes) == header.table_checksum &&
                     table_fits(opened.table, header.tokens, largest_image, rest) && rest == 0;
  return whole && opened.content.hash() == header.tokens_checksum ? Reading::kGood : Reading::kBad;
}

/** Reads so many bytes that have this checksum. */
Reading read_image(std::FILE* file, uint64_t bytes, uint64_t expected, std::shared_ptr<const SlotImage>& out) {
  auto image = std::make_shared<SlotImage>(bytes);
  const Reading reading = read_exactly(file, image->data(), image->size());
  if (reading != Reading::kGood) return reading;
  if (checksum(image->data(), image->size()) != expected) return Reading::kBad;
  out = std::move(image);
  return Reading::kGood;
}

Checkpoints places_of(const std::vector<TableLine>& table) {
  Checkpoints places;
  for (const TableLine& line : table) places.push_back({static_cast<int>(line.tokens), nullptr});
  return places;
}

uint64_t file_bytes(const SavedPrefix& prefix) {
  return sizeof(Header) + prefix.checkpoints.size() * sizeof(TableLine) + prefix.bytes();
}

std::string hex(const uint8_t* bytes, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; i++) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    out += digits;
  }
  return out;
}

}  // namespace

PrefixFiles::PrefixFiles(const std::string& dir, const CacheKey& key, uint64_t limit, size_t largest_image,
                         std::function<void()> wake)
    : key_(key),
      limit_(limit),
      largest_image_(largest_image),
      wake_(std::move(wake)),
      folder_(fs::u8path(dir) / hex(key.data(), key.size())) {
  const std::error_code error = make_folder();
  if (error || !fs::is_directory(folder_)) {
    throw EngineError("BAD_OPTION", "promptCache.dir \"" + dir + "\" cannot be used: " +
                                        (error ? error.message() : std::string("it is not a folder")) +
                                        "; give a folder that this user may write, or leave it out");
  }
  thread_ = start_thread("the prompt cache on disk", [this] { run(); });
}

std::error_code PrefixFiles::make_folder() const {
  std::error_code error;
  const bool made = fs::create_directories(folder_, error);
  // What people asked and were answered can be read out of these files.
  if (made && !error) fs::permissions(folder_, fs::perms::owner_all, error);
  return error;
}

PrefixFiles::~PrefixFiles() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
    give_up_ = Clock::now() + kCloseTime;
  }
  changed_.notify_all();
  thread_.join();
}

PrefixFileInfo PrefixFiles::info_of(const SavedPrefix& prefix) {
  PrefixFileInfo info{prefix.content.hash(), prefix.content, prefix.prompt_tokens, {}, file_bytes(prefix)};
  for (const Checkpoint& checkpoint : prefix.checkpoints) info.checkpoints.push_back({checkpoint.tokens, nullptr});
  return info;
}

fs::path PrefixFiles::path_of(PrefixFileId id) const {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = static_cast<uint8_t>(id >> (56 - 8 * i));
  return folder_ / (hex(bytes, sizeof bytes) + ".kv");
}

std::vector<PrefixFileInfo> PrefixFiles::scan(size_t most_tokens) {
  std::vector<PrefixFileId> ignored_ids;
  make_room(0, ignored_ids);
  std::vector<PrefixFileInfo> found;
  size_t scanned = 0;
  std::error_code error;
  for (fs::directory_iterator next(folder_, error), end; !error && next != end; next.increment(error)) {
    const fs::path path = next->path();
    if (!is_prefix_file(*next)) continue;
    Opened opened;
    Reading reading = open_checked(path, key_, largest_image_, most_tokens, opened);
    if (reading == Reading::kGood && path_of(opened.content.hash()) != path) reading = Reading::kBad;
    scanned += opened.content.size();
    if (scanned > kMostScanned) break;
    std::error_code ignored;
    if (reading == Reading::kBad) fs::remove(path, ignored);
    if (reading != Reading::kGood) continue;
    PrefixFileInfo info;
    info.id = opened.content.hash();
    info.content = std::move(opened.content);
    info.prompt_tokens = static_cast<int>(opened.header.prompt_tokens);
    info.checkpoints = places_of(opened.table);
    info.bytes = sizeof(Header) + info.content.bytes() + opened.header.image_bytes;
    for (const TableLine& line : opened.table) info.bytes += sizeof line + line.bytes;
    found.push_back(std::move(info));
  }
  return found;
}

/** So many bytes of the limit are free then, unless it is false: others are writing so much. Adds to `displaced` what had to go of this key. */
bool PrefixFiles::make_room(uint64_t bytes, std::vector<PrefixFileId>& displaced) const {
  if (bytes > limit_) return false;
  const Trimmed trimmed = trim_folder(folder_.parent_path(), limit_ - bytes);
  for (const fs::path& path : trimmed.removed) {
    if (path.parent_path() == folder_) displaced.push_back(std::stoull(path.stem().string(), nullptr, 16));
  }
  return trimmed.within;
}

void PrefixFiles::write(std::shared_ptr<const SavedPrefix> prefix) {
  const PrefixFileId id = prefix->content.hash();
  push({Kind::kWrite, id, std::move(prefix)});
}
void PrefixFiles::read(PrefixFileId id) { push({Kind::kRead, id, nullptr}); }
void PrefixFiles::remove(PrefixFileId id) { push({Kind::kRemove, id, nullptr}); }

void PrefixFiles::push(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (job.prefix) waiting_bytes_ += job.prefix->bytes();
    // Somebody waits for a read; nobody does for the rest.
    if (job.kind == Kind::kRead) {
      jobs_.push_front(std::move(job));
    } else {
      jobs_.push_back(std::move(job));
    }
  }
  changed_.notify_one();
}

std::vector<PrefixFileOutcome> PrefixFiles::take_outcomes() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(outcomes_, {});
}

size_t PrefixFiles::waiting_bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return waiting_bytes_;
}

// ---- the thread ------------------------------------------------------------------------------------------------------

void PrefixFiles::run() {
  while (true) {
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (jobs_.empty() || (closing_ && Clock::now() > give_up_)) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    PrefixFileOutcome outcome;
    outcome.id = job.id;
    outcome.was_read = job.kind == Kind::kRead;
    const bool has_outcome = job.kind == Kind::kRead || job.kind == Kind::kWrite;
    try {
      if (job.kind == Kind::kRead) outcome.prefix = read_file(job.id);
      if (job.kind == Kind::kWrite) {
        outcome.ok = write_file(job.id, *job.prefix, outcome.displaced);
      }
      if (job.kind == Kind::kRemove) {
        std::error_code ignored;
        fs::remove(path_of(job.id), ignored);
      }
      if (outcome.was_read) outcome.ok = outcome.prefix != nullptr;
    } catch (const std::exception&) {  // out of memory: as good as not there
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (job.prefix) waiting_bytes_ -= job.prefix->bytes();
      if (has_outcome) outcomes_.push_back(std::move(outcome));
    }
    if (has_outcome) wake_();
  }
}

// Another process or model may be writing the same text: each its own temporary file, and the last rename stands.
bool PrefixFiles::write_file(PrefixFileId id, const SavedPrefix& prefix, std::vector<PrefixFileId>& displaced) const {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  std::memcpy(header.key, key_.data(), key_.size());
  header.tokens = static_cast<uint32_t>(prefix.content.size());
  header.prompt_tokens = static_cast<uint32_t>(prefix.prompt_tokens);
  header.variant = prefix.content.variant();
  header.image_bytes = prefix.image->size();
  header.tokens_checksum = prefix.content.hash();
  header.image_checksum = checksum(prefix.image->data(), prefix.image->size());
  std::vector<TableLine> table;
  for (const Checkpoint& checkpoint : prefix.checkpoints) {
    const SlotImage& state = *checkpoint.state;
    table.push_back({static_cast<uint64_t>(checkpoint.tokens), state.size(), checksum(state.data(), state.size())});
  }
  const size_t table_bytes = table.size() * sizeof(TableLine);
  header.checkpoints = table.size();
  header.table_checksum = checksum(table.data(), table_bytes);
  header.header_checksum = header_checksum(header);

  const size_t token_bytes = prefix.content.bytes();
  const uint64_t bytes = file_bytes(prefix);
  std::unique_ptr<TemporaryFile> file;
  {
    const FolderLock lock(folder_.parent_path());                     // or two could take the same room
    if (!make_room(bytes, displaced) || make_folder()) return false;  // it may just have become empty, and gone
    file = TemporaryFile::make(path_of(id), bytes);
  }
  const auto write = [&file](const SlotImage& image) { return file->write(image.data(), image.size()); };
  const bool written =
      file && file->write(&header, sizeof header) && file->write(prefix.content.tokens().data(), token_bytes) &&
      file->write(table.data(), table_bytes) && write(*prefix.image) &&
      std::all_of(prefix.checkpoints.begin(), prefix.checkpoints.end(), [&](const auto& at) { return write(*at.state); }) &&
      file->flush();
  if (!written) return false;
  const FolderLock lock(folder_.parent_path());  // or one who counts the folder might find it under neither of its names
  return file->publish();
}

std::shared_ptr<const SavedPrefix> PrefixFiles::read_file(PrefixFileId id) const {
  const fs::path path = path_of(id);
  std::error_code ignored;
  Opened opened;
  std::shared_ptr<const SlotImage> image;
  Reading reading = open_checked(path, key_, largest_image_, SIZE_MAX, opened);
  if (reading == Reading::kGood && opened.content.hash() != id) reading = Reading::kBad;
  if (reading == Reading::kGood)
    reading = read_image(opened.file.get(), opened.header.image_bytes, opened.header.image_checksum, image);
  Checkpoints checkpoints = places_of(opened.table);
  for (size_t i = 0; i < checkpoints.size() && reading == Reading::kGood; i++)
    reading = read_image(opened.file.get(), opened.table[i].bytes, opened.table[i].checksum, checkpoints[i].state);
  opened.file.reset();
  if (reading == Reading::kBad) fs::remove(path, ignored);
  if (reading != Reading::kGood) return nullptr;
  auto prefix = std::make_shared<SavedPrefix>();
  prefix->content = std::move(opened.content);
  prefix->prompt_tokens = static_cast<int>(opened.header.prompt_tokens);
  prefix->image = std::move(image);
  prefix->checkpoints = std::move(checkpoints);
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // the latest used is evicted last
  return prefix;
}

}  // namespace zse
