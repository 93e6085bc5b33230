#include "buffer_type.h"

#include "attention.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "traits.h"

namespace zse::kernels {

namespace {

class Kernels final : public ggml::cpu::extra_buffer_type {
 public:
  // Asked about nodes with weights in such a buffer: it takes none.
  bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }

  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* node) override {
    return node->op == GGML_OP_FLASH_ATTN_EXT ? attention() : nullptr;
  }
};

const char* name(ggml_backend_buffer_type_t) { return "CPU_ZSTREAM"; }

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
  ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
  if (buffer) buffer->buft = type;
  return buffer;
}

size_t alignment(ggml_backend_buffer_type_t) { return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type()); }

}  // namespace

ggml_backend_buffer_type_t buffer_type() {
  // Made when it is first asked for, not when the library is loaded: a processor may be asked whether it has the instructions only then.
  static ggml_backend_buffer_type type = {{name, allocate, alignment, nullptr, nullptr, nullptr},
                                          ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
                                          new Kernels()};
  return &type;
}

}  // namespace zse::kernels
