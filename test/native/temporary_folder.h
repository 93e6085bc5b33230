// A folder of its own for a test, gone when the test is over.
#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace zse {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    path_ = std::filesystem::temp_directory_path() / ("zstream-test-" + std::to_string(std::random_device{}()));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_.u8string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace zse
