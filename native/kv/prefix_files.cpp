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

namespace fs = std::filesystem;

namespace zse {

namespace {

// Tokens of all files that are kept in mind: far more than sound files of any limit have, since an image is much larger than its tokens.
constexpr size_t kMostScanned = size_t{64} << 20;

/** Of a model's folder. With another key it is another one, so what is found in it is sound, or bad. */
CacheKey name_of(const std::optional<CacheSecret>& secret, const CacheKey& key) {
  return secret ? secret->name_of(key) : key;
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
                         std::function<void()> wake, const Of& of)
    : key_(key),
      secret_(of.key ? std::optional<CacheSecret>(*of.key) : std::nullopt),
      limit_(limit),
      largest_image_(largest_image),
      wake_(std::move(wake)),
      folder_(fs::u8path(dir) / hex(name_of(secret_, key).data(), key.size())) {
  const std::error_code error = make_folder();
  if (error || !fs::is_directory(folder_)) {
    throw EngineError("BAD_OPTION", "promptCache.dir \"" + dir + "\" cannot be used: " +
                                        (error ? error.message() : std::string("it is not a folder")) +
                                        "; give a folder that this user may write, or leave it out");
  }
  {
    const FolderLock lock(folder_.parent_path());
    record_ = std::make_unique<ModelRecord>(folder_, of.model);
    remove_folders_of_gone(folder_.parent_path());
    unusable_bytes_ = bytes_in_other_folders(folder_, of.model);
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

// A hash that anybody can compute would tell whether somebody asked what they guess.
PrefixFileId PrefixFiles::id_of(const Prompt& content) const {
  const PrefixFileId hash = content.hash();
  if (!secret_) return hash;
  std::array<uint8_t, 16> plain{};
  std::memcpy(plain.data(), &hash, sizeof hash);
  const std::array<uint8_t, 16> name = secret_->name_of(plain);
  PrefixFileId id = 0;
  std::memcpy(&id, name.data(), sizeof id);
  return id;
}

PrefixFileInfo PrefixFiles::info_of(const SavedPrefix& prefix) const {
  PrefixFileInfo info{id_of(prefix.content), prefix.content, prefix.prompt_tokens, {}, prefix_file_bytes(prefix, secret_)};
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
    PrefixFileReader file(path, {key_, largest_image_, most_tokens, true, secret_});
    Reading reading = file.reading();
    if (reading == Reading::kOtherKey || (reading == Reading::kGood && path_of(id_of(file.content())) != path))
      reading = Reading::kBad;
    scanned += file.content().size();
    if (scanned > kMostScanned) break;
    std::error_code ignored;
    if (reading == Reading::kBad) fs::remove(path, ignored);
    if (reading != Reading::kGood) continue;
    PrefixFileInfo info;
    info.id = id_of(file.content());
    info.prompt_tokens = file.prompt_tokens();
    info.checkpoints = file.places();
    info.bytes = file.bytes();
    info.used = next->last_write_time(ignored);
    info.content = file.take_content();
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
  const PrefixFileId id = id_of(prefix->content);
  push({Kind::kWrite, id, std::move(prefix)});
}
void PrefixFiles::read(PrefixFileId id) { push({Kind::kRead, id, nullptr}); }
void PrefixFiles::remove(PrefixFileId id) { push({Kind::kRemove, id, nullptr}); }

void PrefixFiles::push(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (job.prefix) waiting_bytes_ += job.prefix->bytes();
    if (job.kind == Kind::kRemove) removals_asked_++;
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

uint64_t PrefixFiles::removals_asked() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return removals_asked_;
}

uint64_t PrefixFiles::removals_done() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return removals_done_;
}

uint64_t PrefixFiles::removals_failed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return removals_failed_;
}

std::string PrefixFiles::failed_removal() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return failed_removal_;
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
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      if (closing_ && Clock::now() > give_up_ && job.kind != Kind::kRemove) continue;
    }
    PrefixFileOutcome outcome;
    outcome.id = job.id;
    outcome.was_read = job.kind == Kind::kRead;
    std::error_code unremoved;
    const bool has_outcome = job.kind == Kind::kRead || job.kind == Kind::kWrite;
    try {
      if (job.kind == Kind::kRead) outcome.prefix = read_file(job.id);
      if (job.kind == Kind::kWrite) {
        outcome.ok = write_file(job.id, *job.prefix, outcome.displaced);
      }
      if (job.kind == Kind::kRemove) fs::remove(path_of(job.id), unremoved);
      if (outcome.was_read) outcome.ok = outcome.prefix != nullptr;
    } catch (const std::exception&) {  // out of memory: as good as not there
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (job.prefix) waiting_bytes_ -= job.prefix->bytes();
      if (has_outcome) outcomes_.push_back(std::move(outcome));
      if (job.kind == Kind::kRemove) removals_done_++;
      if (unremoved) {
        removals_failed_++;
        failed_removal_ = "\"" + path_of(job.id).u8string() + "\": " + unremoved.message();
      }
    }
    wake_();  // somebody may wait for that
  }
}

// Another process or model may be writing the same text: each its own temporary file, and the last rename stands.
bool PrefixFiles::write_file(PrefixFileId id, const SavedPrefix& prefix, std::vector<PrefixFileId>& displaced) const {
  const uint64_t bytes = prefix_file_bytes(prefix, secret_);
  std::unique_ptr<TemporaryFile> file;
  {
    const FolderLock lock(folder_.parent_path());                     // or two could take the same room
    if (!make_room(bytes, displaced) || make_folder()) return false;  // it may just have become empty, and gone
    file = TemporaryFile::make(path_of(id), bytes);
  }
  if (!file || !write_prefix_file(*file, key_, prefix, secret_)) return false;
  const FolderLock lock(folder_.parent_path());  // or one who counts the folder might find it under neither of its names
  if (!file->publish()) return false;
  std::error_code ignored;
  if (prefix.used != fs::file_time_type{}) fs::last_write_time(path_of(id), prefix.used, ignored);
  return true;
}

std::shared_ptr<const SavedPrefix> PrefixFiles::read_file(PrefixFileId id) const {
  const fs::path path = path_of(id);
  PrefixFileReader file(path, {key_, largest_image_, SIZE_MAX, true, secret_});
  Reading reading = file.reading();
  std::shared_ptr<const SavedPrefix> prefix;
  if (reading == Reading::kGood) reading = id_of(file.content()) == id ? file.read_images(prefix) : Reading::kBad;
  std::error_code ignored;
  if (reading == Reading::kBad || reading == Reading::kOtherKey) fs::remove(path, ignored);
  if (reading != Reading::kGood) return nullptr;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // the latest used is evicted last
  return prefix;
}

}  // namespace zse
