// The cache's folder where an app gives a key, and where models come and go: files tell nothing, a changed one is noticed, and what is left of a
// model that is gone goes.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "check.h"
#include "kept_files.h"
#include "temporary_folder.h"

using namespace zse;
namespace fs = std::filesystem;

namespace {

AeadKey secret(uint8_t with) {
  AeadKey key{};
  key.fill(with);
  return key;
}

std::unique_ptr<PrefixFiles> open_sealed(const std::string& dir, uint8_t with, uint8_t model = 0) {
  return std::make_unique<PrefixFiles>(
      dir, CacheKey{model}, 1 << 24, kLargestImage, [] {}, PrefixFiles::Of{"", secret(with)});
}

int files_in(const std::string& dir) {
  int count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) count += entry.is_regular_file();
  return count;
}

void put(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST("with a key files tell nothing, are as large as was said, and hold what was written, of every size") {
  for (const size_t image : {size_t{1}, size_t{65536 - 88 - 400}, size_t{65537 - 88 - 400}, size_t{300000}}) {
    const TemporaryFolder folder;
    const auto prefix = image == 300000 ? prefix_with({10, 50}, 100, 7, image) : prefix_of(100, 7, image);
    uint64_t said = 0;
    {
      const auto files = open_sealed(folder.path(), 1);
      said = files->info_of(*prefix).bytes;
      files->write(prefix);
      CHECK(outcomes(*files, 1)[0].ok);
    }
    const fs::path path = only_file(folder.path());
    const std::string bytes = bytes_of(path);
    CHECK(bytes.size() == said);
    CHECK(bytes.find("ZSEKV") == 0 && bytes[5] == 'X');
    CHECK(bytes.find(std::string(16, 7)) == std::string::npos);
    const auto plain = open_files(folder.path(), 1 << 24);
    plain->write(prefix);
    CHECK(outcomes(*plain, 1)[0].ok);
    int same = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
      same += entry.path().filename() == path.filename();
    CHECK(same == 1);
    const auto files = open_sealed(folder.path(), 1);
    const auto found = files->scan();
    REQUIRE(found.size() == 1);
    CHECK(found[0].bytes == said);
    files->read(found[0].id);
    const auto read = outcomes(*files, 1)[0].prefix;
    REQUIRE(read);
    CHECK(read->content == prefix->content);
    CHECK(same_bytes(*read->image, *prefix->image));
    REQUIRE(read->checkpoints.size() == prefix->checkpoints.size());
    for (size_t i = 0; i < read->checkpoints.size(); i++) {
      CHECK(same_bytes(*read->checkpoints[i].state, *prefix->checkpoints[i].state));
    }
  }
}

TEST("with another key, or none, sealed files are as if they were not there, and stay") {
  const TemporaryFolder folder;
  {
    const auto files = open_sealed(folder.path(), 1);
    files->write(prefix_of(100, 7, 5000));
    CHECK(outcomes(*files, 1)[0].ok);
  }
  CHECK(open_sealed(folder.path(), 2)->scan().empty());
  CHECK(open_files(folder.path(), 1 << 24)->scan().empty());
  CHECK(open_sealed(folder.path(), 1)->scan().size() == 1);
}

TEST("a sealed file that was changed, cut, or put elsewhere is not used, and gone (random)") {
  std::mt19937_64 random(check::seed());
  const TemporaryFolder folder;
  {
    const auto files = open_sealed(folder.path(), 1);
    files->write(prefix_with({10, 50}, 100, 7, 70000));
    CHECK(outcomes(*files, 1)[0].ok);
  }
  const fs::path path = only_file(folder.path());
  const std::string sound = bytes_of(path);
  for (int round = 0; round < 120; round++) {
    std::string bytes = sound;
    const size_t at = round < 30 ? static_cast<size_t>(round) : random() % bytes.size();
    if (round % 3 == 0) bytes.resize(at);
    if (round % 3 == 1) bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
    // Two sections change places; or one is gone.
    if (round % 3 == 2 && round % 2 == 0) std::swap_ranges(&bytes[24], &bytes[24 + 65552], &bytes[24 + 65552]);
    if (round % 3 == 2 && round % 2 == 1) bytes.erase(24 + 65552, 65552);
    put(path, bytes);
    const auto files = open_sealed(folder.path(), 1);
    bool good = false;
    for (const PrefixFileInfo& info : files->scan()) {
      files->read(info.id);
      good = outcomes(*files, 1)[0].ok;
    }
    CHECK(!good);
    CHECK(!fs::exists(path));
  }
  const fs::path elsewhere = path.parent_path() / "0123456789abcdef.kv";
  put(elsewhere, sound);
  CHECK(open_sealed(folder.path(), 1)->scan().empty());
  CHECK(!fs::exists(elsewhere));
}

// ---- models that are gone --------------------------------------------------------------------------------------------

TEST(
    "what is left of a model that is gone goes after a week, and not while somebody uses it, nor what others have put "
    "there") {
  const TemporaryFolder folder, models;
  const fs::path model = fs::path(models.path()) / "a.gguf", other = fs::path(models.path()) / "b.gguf";
  put(model, "a");
  put(other, "b");
  const auto open = [&](uint8_t key, const fs::path& of) {
    return std::make_unique<PrefixFiles>(
        folder.path(), CacheKey{key}, 1 << 24, kLargestImage, [] {}, PrefixFiles::Of{of.string(), std::nullopt});
  };
  auto files = open(1, model);
  files->write(prefix_of(100, 7, 5000));
  CHECK(outcomes(*files, 1)[0].ok);
  const fs::path of_model = fs::path(folder.path()) / ("01" + std::string(30, '0'));
  REQUIRE(fs::exists(of_model / "model.path"));
  CHECK(bytes_of(of_model / "model.path") == model.string());
  const auto age = [&](int days) {
    fs::last_write_time(of_model / "model.path", fs::file_time_type::clock::now() - std::chrono::hours(24 * days));
  };
  age(30);
  files.reset();
  open(2, other);
  CHECK(files_in(of_model.string()) == 2);  // the model is there
  fs::remove(model);
  age(2);
  open(2, other);
  CHECK(files_in(of_model.string()) == 2);  // it may come back
  put(model, "a");
  files = open(1, model);
  fs::remove(model);
  age(30);
  open(2, other);
  CHECK(files_in(of_model.string()) == 2);  // it is in use
  files.reset();
  put(of_model / "mine.txt", "x");
  open(2, other);
  CHECK(files_in(of_model.string()) == 1);
  CHECK(fs::exists(of_model / "mine.txt"));
}
