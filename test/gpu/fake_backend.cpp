// Owns a backend for a GPU that does not exist, linked as a GPU's library: test/addon/gpu-library.test.ts looks at how the addon finds and
// refuses such libraries where no GPU is. Models cannot be opened on it.
#include <ggml-backend-impl.h>

namespace {

const char* device_name(ggml_backend_dev_t) { return "Fake0"; }
const char* device_description(ggml_backend_dev_t) { return "a GPU of the tests"; }
void device_memory(ggml_backend_dev_t, size_t* free, size_t* total) { *free = 1000, *total = 2000; }
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

const char* backend_name(ggml_backend_reg_t) { return "Fake"; }
size_t device_count(ggml_backend_reg_t) { return 1; }
ggml_backend_dev_t device_at(ggml_backend_reg_t reg, size_t) { return static_cast<ggml_backend_dev_t>(reg->context); }

}  // namespace

extern "C" ggml_backend_reg_t zse_fake_reg() {
  static ggml_backend_reg backend = {GGML_BACKEND_API_VERSION, {backend_name, device_count, device_at, nullptr}, nullptr};
  static ggml_backend_device device = {};
  device.iface.get_name = device_name;
  device.iface.get_description = device_description;
  device.iface.get_memory = device_memory;
  device.iface.get_type = device_type;
  device.reg = &backend;
  backend.context = &device;
  ggml_log_callback log = nullptr;
  void* user_data = nullptr;
  ggml_log_get(&log, &user_data);
  if (log) log(GGML_LOG_LEVEL_WARN, "the fake GPU speaks\n", user_data);
  return &backend;
}
