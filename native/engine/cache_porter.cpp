#include "cache_porter.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/start_thread.h"
#include "kv/temporary_file.h"
#include "schedule/cache_desk.h"

namespace fs = std::filesystem;

namespace zse {

namespace {

/** `sealing`: it was read with a key. */
std::string what_is_bad(const fs::path& path, bool sealing) {
  if (!says_sealed(path)) {
    return sealing ? "is no sealed prefix, and it was read with a key; of an unsealed one, import() takes { key: null }"
                   : "is no exported prefix, or is damaged; export it again";
  }
  return sealing ? "is sealed with another key, or is damaged; give import() the key that it was exported with, or export "
                   "it again"
                 : "is sealed; give import() the key that it was exported with";
}

}  // namespace

CachePorter::CachePorter(std::function<PrefixBounds()> bounds, uint64_t most_bytes, Inbox& inbox, Answered answered)
    : make_bounds_(std::move(bounds)), most_bytes_(most_bytes), inbox_(inbox), answered_(std::move(answered)) {
  thread_ = start_thread("the exchange of cached prefixes with files", [this] { run(); });
}

CachePorter::~CachePorter() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CachePorter::take_in(std::shared_ptr<QuestionControl> control, CacheQuestion question) {
  push({std::move(control), std::move(question), {}, nullptr});
}

void CachePorter::take_out(std::shared_ptr<QuestionControl> control, CacheQuestion question, CacheEntry entry,
                           std::shared_ptr<const SavedPrefix> prefix) {
  push({std::move(control), std::move(question), std::move(entry), std::move(prefix)});
}

void CachePorter::push(Job job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void CachePorter::run() {
  while (true) {
    Job job;
    bool closing = false;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      closing = closing_;
    }
    try {
      if (closing || job.control->withdrawn) throw EngineError("CLOSED", "the model was closed, or nobody waits any more");
      if (!bounds_) bounds_ = make_bounds_();
      job.prefix ? write(job) : read(job);
    } catch (const EngineError& e) {
      refuse(job, e.code(), e.what());
    } catch (const std::exception& e) {  // out of memory, say
      refuse(job, "OVERLOADED", "the file \"" + job.question.path + "\" could not be handled: " + e.what());
    }
  }
}

void CachePorter::refuse(const Job& job, const std::string& code, const std::string& message) {
  const uint32_t number = job.control->number;
  if (job.prefix) {
    answered_(number, AnswerErrorEvent{number, code, message});
  } else {
    inbox_.push(RefuseCommand{job.control, code, message});
  }
}

/** What the file is sealed with; nothing where it is not. */
std::optional<CacheSecret> CachePorter::secret_of(const Job& job) const {
  if (!job.question.key) return bounds_->secret;
  const std::optional<AeadKey>& given = *job.question.key;
  return given ? std::optional<CacheSecret>(std::in_place, *given) : std::nullopt;
}

void CachePorter::read(Job& job) {
  const std::string named = "\"" + job.question.path + "\" ";
  const fs::path path = fs::u8path(job.question.path);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw EngineError("BAD_OPTION",
                      named + "cannot be imported: " + (error ? error.message() : std::string("it is no file")));
  }
  PrefixBounds bounds = *bounds_;
  bounds.secret = secret_of(job);
  PrefixFileReader file(path, bounds);
  std::shared_ptr<const SavedPrefix> prefix;
  Reading reading = file.reading();
  if (reading == Reading::kGood && file.prefix_bytes() > most_bytes_) throw no_room_in_ram(file.prefix_bytes());
  if (reading == Reading::kGood) reading = file.read_images(prefix);
  if (reading == Reading::kOtherKey) {
    throw EngineError("BAD_OPTION",
                      named +
                          "was exported from another model file, chat template, device, kvType, maxStreams or version "
                          "of zStream; export it again where these are the same");
  }
  if (reading == Reading::kBad) throw EngineError("BAD_MODEL", named + what_is_bad(path, bounds.secret.has_value()));
  if (reading == Reading::kFailed) {
    throw EngineError("BAD_OPTION", named +
                                        "cannot be imported: it cannot be read, or its prefix is longer than this engine's "
                                        "contextSize");
  }
  inbox_.push(CacheCommand{job.control, std::move(job.question), std::move(prefix)});
}

void CachePorter::write(const Job& job) {
  fs::path path = fs::u8path(job.question.path);
  std::error_code error;
  const fs::file_status there = fs::status(path, error);
  // It takes the place of a file, never of a folder or of a device; and of the file that a link leads to, not of the link.
  const bool leads_nowhere = !fs::exists(there) && fs::is_symlink(fs::symlink_status(path, error));
  if (leads_nowhere || (fs::exists(there) && !fs::is_regular_file(there))) {
    throw EngineError("BAD_OPTION",
                      "\"" + job.question.path + "\" is no file: an export takes the path of one that is there, or of none");
  }
  if (fs::exists(there)) path = fs::canonical(path, error);
  const std::optional<CacheSecret> secret = secret_of(job);
  const uint64_t bytes = prefix_file_bytes(*job.prefix, secret);
  const std::unique_ptr<TemporaryFile> file = TemporaryFile::make(path, bytes);
  if (!file || !write_prefix_file(*file, bounds_->key, *job.prefix, secret) || !file->publish()) {
    throw EngineError("BAD_OPTION", "\"" + job.question.path +
                                        "\" cannot be written: give a path in a folder that this user may write, on a disk "
                                        "with room for " +
                                        std::to_string((bytes >> 20) + 1) + " MB");
  }
  const uint32_t number = job.control->number;
  answered_(number, AnswerEvent{number, CacheAnswer{{job.entry}}});
}

}  // namespace zse
