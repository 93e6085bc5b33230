// Owns a backend for a GPU that does not exist, linked as a GPU's library: test/addon/gpu-library.test.ts looks at how the addon finds and
// refuses such libraries where no GPU is. It can be chosen for a model, and then fails as a GPU does whose driver does not work: it gives neither
// memory nor a stream.
#include <ggml-backend-impl.h>

namespace {

const char* device_name(ggml_backend_dev_t) { return "Fake0"; }
const char* device_description(ggml_backend_dev_t) { return "a GPU of the tests"; }
void device_memory(ggml_backend_dev_t, size_t* free, size_t* total) { *free = 1000, *total = 2000; }
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }
void device_props(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  *props = {};
  props->name = device_name(device);
  props->description = device_description(device);
  props->type = device_type(device);
  device_memory(device, &props->memory_free, &props->memory_total);
}
ggml_backend_t no_stream(ggml_backend_dev_t, const char*) { return nullptr; }
bool supports_op(ggml_backend_dev_t, const ggml_tensor*) { return true; }
bool supports_buffer(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) { return type->device == device; }

const char* buffer_name(ggml_backend_buffer_type_t) { return "Fake0"; }
ggml_backend_buffer_t no_buffer(ggml_backend_buffer_type_t, size_t) { return nullptr; }
size_t alignment(ggml_backend_buffer_type_t) { return 32; }
ggml_backend_buffer_type_t buffer_type(ggml_backend_dev_t device) {
  static ggml_backend_buffer_type type = {};
  type.iface.get_name = buffer_name;
  type.iface.alloc_buffer = no_buffer;
  type.iface.get_alignment = alignment;
  type.device = device;
  return &type;
}

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
  device.iface.get_props = device_props;
  device.iface.init_backend = no_stream;
  device.iface.get_buffer_type = buffer_type;
  device.iface.supports_op = supports_op;
  device.iface.supports_buft = supports_buffer;
  device.reg = &backend;
  backend.context = &device;
  ggml_log_callback log = nullptr;
  void* user_data = nullptr;
  ggml_log_get(&log, &user_data);
  if (log) log(GGML_LOG_LEVEL_WARN, "the fake GPU speaks\n", user_data);
  return &backend;
}
