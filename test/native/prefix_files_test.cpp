// The cache's folder: within its limit at every moment, whoever is killed in the middle of writing; and its files, which anybody may have
// written: they cost no more than they are, nothing waits for them for ever, and what they claim is not believed.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "bench.h"
#include "check.h"
#include "kept_files.h"
#include "kv/temporary_file.h"
#include "temporary_folder.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace zse;
namespace fs = std::filesystem;

namespace {

constexpr size_t kHeader = 88, kLine = 24;  // bytes: of a file's head, and of a checkpoint in its table

/** Bytes of all files, as they say their size is. One that goes meanwhile counts nothing, one that is renamed meanwhile counts once. */
uint64_t bytes_in(const std::string& dir) {
  uint64_t total = 0;
  std::set<ino_t> seen;
  std::error_code error;
  for (fs::recursive_directory_iterator next(dir, error), end; !error && next != end; next.increment(error)) {
    struct stat status{};
    if (lstat(next->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (seen.insert(status.st_ino).second) total += static_cast<uint64_t>(status.st_size);
  }
  return total;
}

int temporary_files(const std::string& dir) {
  int count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator next(dir, error), end; !error && next != end; next.increment(error)) {
    count += is_temporary(next->path());
  }
  return count;
}

/** Writes a file whose checksums are right, whatever else it is. */
void forge(const fs::path& path, std::string bytes) {
  uint32_t tokens = 0;
  if (bytes.size() >= kHeader) {
    uint64_t image_bytes = 0, checkpoints = 0;
    std::memcpy(&tokens, bytes.data() + 24, 4);
    std::memcpy(&image_bytes, bytes.data() + 40, 8);
    std::memcpy(&checkpoints, bytes.data() + 64, 8);
    const size_t end = std::min<uint64_t>(bytes.size(), kHeader + uint64_t{tokens} * 4);
    const size_t table = std::min<uint64_t>(checkpoints, (bytes.size() - end) / kLine) * kLine;
    const size_t rest = bytes.size() - end - table;
    const size_t image = checkpoints == 0 ? rest : std::min<uint64_t>(rest, image_bytes);
    const uint64_t of_tokens = XXH3_64bits(bytes.data() + kHeader, end - kHeader);
    const uint64_t of_image = XXH3_64bits(bytes.data() + end + table, image);
    const uint64_t of_table = XXH3_64bits(bytes.data() + end, table);
    std::memcpy(&bytes[48], &of_tokens, 8);
    std::memcpy(&bytes[56], &of_image, 8);
    std::memcpy(&bytes[72], &of_table, 8);
    const uint64_t of_header = XXH3_64bits(bytes.data(), 80);
    std::memcpy(&bytes[80], &of_header, 8);
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace

TEST("writers that are killed again and again leave the folder within its limit, and nothing of theirs stays") {
  const TemporaryFolder folder;
  constexpr uint64_t kLimit = 1000000;
  std::mt19937_64 random(check::seed());
  uint64_t most = 0;
  for (int round = 0; round < 12; round++) {
    std::vector<pid_t> writers;
    for (int writer = 0; writer < 2; writer++) {
      const pid_t child = fork();
      if (child == 0) {
        {
          const auto files = open_files(folder.path(), kLimit);
          for (int i = 0; i < 1000; i++) files->write(prefix_of(100, 1 + (round * 100 + writer * 50 + i) % 40, 300000));
          std::this_thread::sleep_for(std::chrono::seconds(20));
        }
        _exit(0);
      }
      writers.push_back(child);
    }
    const auto begun = Clock::now(), until = begun + std::chrono::milliseconds(20 + random() % 60);
    // Where the machine has much else to do, the first of them need longer to write anything.
    while (Clock::now() < until || (most == 0 && Clock::now() < begun + std::chrono::seconds(20))) {
      const FolderLock lock(folder.path());  // or a file and the one that takes its room might both be seen in one look
      most = std::max(most, bytes_in(folder.path()));
    }
    for (const pid_t child : writers) kill(child, SIGKILL);
    for (const pid_t child : writers) waitpid(child, nullptr, 0);
    most = std::max(most, bytes_in(folder.path()));
  }
  CHECK(most > 0);
  CHECK(most <= kLimit);
  const auto files = open_files(folder.path(), kLimit);
  files->scan();
  CHECK_EQ(temporary_files(folder.path()), 0);
}

TEST("what a living process is writing is counted, and nobody removes it") {
  const TemporaryFolder folder;
  const auto files = open_files(folder.path(), 100000);
  files->write(prefix_of(100, 1, 30000));
  files->write(prefix_of(100, 2, 30000));
  CHECK(outcomes(*files, 2).back().ok);
  const fs::path target = only_file(folder.path()).parent_path() / "00000000000000ff.kv";
  auto being_written = TemporaryFile::make(target, 60000);
  REQUIRE(being_written != nullptr);
  CHECK_EQ(temporary_files(folder.path()), 1);
  CHECK(open_files(folder.path(), 100000)->scan().size() <= 1);  // one had to make place
  CHECK_EQ(temporary_files(folder.path()), 1);
  files->write(prefix_of(100, 3, 80000));  // there is no room beside it
  CHECK(!outcomes(*files, 1).back().ok);
  CHECK(bytes_in(folder.path()) <= 100000);
  being_written.reset();
  CHECK_EQ(temporary_files(folder.path()), 0);
  files->write(prefix_of(100, 3, 80000));
  CHECK(outcomes(*files, 1).back().ok);
}

TEST("a file that claims sizes which it has not, or which no image has, is removed and costs nothing") {
  const TemporaryFolder folder;
  {
    const auto files = open_files(folder.path(), 1 << 24);
    files->write(prefix_of(100, 1, 2000));
    CHECK(outcomes(*files, 1).back().ok);
  }
  const fs::path path = only_file(folder.path());
  const std::string sound = bytes_of(path);
  const auto survives = [&] { return open_files(folder.path(), 1 << 24)->scan().size(); };
  forge(path, sound);
  CHECK_EQ(survives(), 1u);
  const auto with = [&](size_t at, uint64_t value, size_t size) {
    std::string bytes = sound;
    std::memcpy(&bytes[at], &value, size);
    return bytes;
  };
  for (const std::string& forged :
       {with(24, 0, 4), with(24, 101, 4), with(24, 0xFFFFFFFF, 4), with(24, 1 << 25, 4), with(28, 101, 4), with(40, 0, 8),
        with(40, 1, 8), with(40, UINT64_MAX, 8), with(40, UINT64_MAX - 400, 8), sound.substr(0, kHeader),
        sound.substr(0, kHeader - 1), std::string(), sound + "x", std::string(sound).replace(0, 5, "ZSEKW"),
        std::string(sound).replace(8, 1, "x")}) {
    forge(path, forged);
    CHECK_EQ(survives(), 0u);
    CHECK(!fs::exists(path));
  }
  // Larger than any image: it is not even read.
  forge(path, with(40, 1 << 23, 8));
  fs::resize_file(path, kHeader + 400 + (1 << 23));
  CHECK_EQ(survives(), 0u);
  CHECK(!fs::exists(path));
}

TEST("a file's checkpoints come back as they were written, and of a forged table nothing does") {
  const TemporaryFolder folder;
  {
    const auto files = open_files(folder.path(), 1 << 24);
    files->write(prefix_with({40, 70}, 100, 1, 2000));
    CHECK(outcomes(*files, 1).back().ok);
  }
  const fs::path path = only_file(folder.path());
  const PrefixFileId id = std::stoull(path.stem().string(), nullptr, 16);
  const std::string sound = bytes_of(path);
  {
    const auto files = open_files(folder.path(), 1 << 24);
    const std::vector<PrefixFileInfo> found = files->scan();
    REQUIRE(found.size() == 1);
    CHECK_EQ(found[0].bytes, static_cast<uint64_t>(fs::file_size(path)));
    REQUIRE(found[0].checkpoints.size() == 2);
    CHECK_EQ(found[0].checkpoints[1].tokens, 70);
    files->read(id);
    const PrefixFileOutcome read = outcomes(*files, 1).back();
    REQUIRE(read.ok && read.prefix->checkpoints.size() == 2);
    for (const Checkpoint& at : read.prefix->checkpoints) {
      REQUIRE(at.state && at.state->size() == 2000);
      CHECK_EQ(static_cast<int>(at.state->data()[1999]), at.tokens);
    }
  }
  const size_t table = kHeader + 400;
  const auto with = [&](size_t at, uint64_t value) {
    std::string bytes = sound;
    std::memcpy(&bytes[at], &value, sizeof value);
    return bytes;
  };
  // Their number; a place out of order, beyond the end, none; sizes that the file has not, or no image has, or that wrap around.
  for (const std::string& forged :
       {with(64, 0), with(64, 1), with(64, 3), with(64, 65), with(64, UINT64_MAX), with(table, 70), with(table, 0),
        with(table + kLine, 101), with(table + kLine, UINT64_MAX), with(table + 8, 1999), with(table + 8, 4001),
        with(table + 8, UINT64_MAX), with(table + 8, uint64_t{1} << 40), sound.substr(0, sound.size() - 1), sound + "x"}) {
    forge(path, forged);
    CHECK_EQ(open_files(folder.path(), 1 << 24)->scan().size(), 0u);
    CHECK(!fs::exists(path));
  }
  // A state that is not what was written is found when it is read.
  std::string damaged = sound;
  damaged[damaged.size() - 2500] ^= 1;
  forge(path, damaged);
  const auto files = open_files(folder.path(), 1 << 24);
  CHECK_EQ(files->scan().size(), 1u);
  files->read(id);
  CHECK(!outcomes(*files, 1).back().ok);
  CHECK(!fs::exists(path));
}

TEST("nothing waits for a file that is none, and one that others can write is not believed") {
  const TemporaryFolder folder;
  {
    const auto files = open_files(folder.path(), 1 << 24);
    files->write(prefix_of(100, 1, 2000));
    CHECK(outcomes(*files, 1).back().ok);
  }
  const fs::path path = only_file(folder.path());
  const PrefixFileId id = std::stoull(path.stem().string(), nullptr, 16);
  const std::string sound = bytes_of(path);
  const auto files = open_files(folder.path(), 1 << 24);
  CHECK_EQ(files->scan().size(), 1u);
  const auto readable = [&] {
    files->read(id);
    return outcomes(*files, 1).back().ok;
  };
  CHECK(readable());
  fs::permissions(path, fs::perms::group_write, fs::perm_options::add);
  CHECK(!readable());
  CHECK_EQ(open_files(folder.path(), 1 << 24)->scan().size(), 0u);
  fs::permissions(path, fs::perms::group_write, fs::perm_options::remove);
  CHECK(readable());
  fs::rename(path, folder.path() + "/elsewhere");
  fs::create_symlink(folder.path() + "/elsewhere", path);
  CHECK(!readable());
  fs::remove(path);
  REQUIRE(mkfifo(path.c_str(), S_IRUSR | S_IWUSR) == 0);
  CHECK(!readable());
  fs::remove(path);
  CHECK(!readable());
}

TEST("a file with an image that is not of its tokens is not counted as cached, and gone (random)") {
  std::mt19937_64 random(check::seed());
  const std::vector<Token> prompt = make_prompt(300, 1);
  for (int round = 0; round < 60; round++) {
    const TemporaryFolder folder;
    PromptCacheOptions options;
    const auto open = [&] {
      return std::make_unique<PrefixFiles>(folder.path(), CacheKey{}, 1 << 24, kLargestImage, [] {});
    };
    {
      Bench bench(2, 1000, {}, 64, options, true, open());
      auto request = bench.request(prompt);
      request.settings.max_tokens = 5;
      bench.submit(std::move(request));
      bench.run_until_idle();
      bench.scheduler.write_prefixes();
    }
    const fs::path path = only_file(folder.path());
    REQUIRE(!path.empty());
    std::string bytes = bytes_of(path);
    const size_t head = kHeader + 304 * sizeof(Token);
    REQUIRE(bytes.size() > head);
    // Only the image's size can be told by the fake; what is in it, test/llama tries.
    const size_t image = random() % 2 == 0 ? 0 : random() % 5000;
    if (image == bytes.size() - head) continue;
    bytes.resize(head + image, 'x');
    const uint64_t said = image;
    std::memcpy(&bytes[40], &said, 8);
    forge(path, bytes);
    Bench bench(2, 1000, {}, 64, options, true, open());
    auto request = bench.request(prompt);
    request.settings.max_tokens = 5;
    const StreamId id = bench.submit(std::move(request));
    for (int i = 0; i < 5000 && bench.ends[id] == 0; i++) {
      if (!bench.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK_EQ(bench.finished[id].usage.cached_tokens, 0);
    for (int i = 0; i < 5000 && fs::exists(path); i++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(!fs::exists(path));
  }
}
