// Clearing of CPU buffers with our patch (vendor/patches): what is read afterwards, and that a large buffer takes no memory until it is used.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "check.h"
#include "ggml-backend.h"

namespace {

using Buffer = std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>;

Buffer buffer_of(size_t size) {
  return {ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size), ggml_backend_buffer_free};
}

size_t count(const uint8_t* data, size_t size, uint8_t value) {
  size_t equal = 0;
  for (size_t i = 0; i < size; i++) equal += data[i] == value;
  return equal;
}

// Resident memory of this process in MiB; 0 where the system does not say.
double resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmRSS:") continue;
    double kib = 0;
    status >> kib;
    return kib / 1024;
  }
  return 0;
}

}  // namespace

TEST("a cleared buffer holds nothing but the value, whatever its size was") {
  for (const size_t size : {size_t{1}, size_t{4096}, size_t{300000}, size_t{(4 << 20) + 12345}}) {
    const Buffer buffer = buffer_of(size);
    auto* data = static_cast<uint8_t*>(ggml_backend_buffer_get_base(buffer.get()));
    for (const uint8_t value : {uint8_t{0xab}, uint8_t{0}, uint8_t{7}, uint8_t{0}}) {
      ggml_backend_buffer_clear(buffer.get(), value);
      CHECK_EQ(count(data, size, value), size);
    }
  }
}

TEST("memory of somebody else is cleared in place, and nothing around it") {
  alignas(64) static uint8_t memory[2 << 20];
  std::fill_n(memory, sizeof(memory), uint8_t{0xab});
  const size_t before = 64, size = sizeof(memory) - 200;
  const Buffer buffer(ggml_backend_cpu_buffer_from_ptr(memory + before, size), ggml_backend_buffer_free);
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK_EQ(count(memory + before, size, 0), size);
  CHECK_EQ(count(memory, sizeof(memory), 0xab), sizeof(memory) - size);
}

#ifdef __linux__
TEST("a large buffer that was cleared takes memory only where it is used") {
  const size_t size = 256 << 20;
  const Buffer buffer = buffer_of(size);
  const double before = resident_mib();
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK(resident_mib() - before < 32);
  auto* data = static_cast<volatile uint8_t*>(ggml_backend_buffer_get_base(buffer.get()));
  for (size_t i = 0; i < size / 2; i += 4096) data[i] = 1;
  const double used = resident_mib() - before;
  CHECK(used > 100 && used < 160);
  ggml_backend_buffer_clear(buffer.get(), 0);
  CHECK_EQ(static_cast<int>(data[4096 * 3]), 0);
}
#endif
