# Programs that tests run and that need the engine. None is built unless it is asked for.

# The fuzzer of model files: scripts/fuzz.mjs builds it, with sanitizers.
if(UNIX)
  file(GLOB fuzz_sources CONFIGURE_DEPENDS test/fuzz/*.cpp)
  add_executable(zse_fuzz EXCLUDE_FROM_ALL ${fuzz_sources})
  target_link_libraries(zse_fuzz PRIVATE zse_core zse_warnings)
endif()

# Loads a model and prints logits: test/addon/zse.test.ts compares them.
add_executable(zse_logits EXCLUDE_FROM_ALL test/zse/logits.cpp)
target_link_libraries(zse_logits PRIVATE zse_core zse_warnings)

# llama.cpp's own program for vectors of texts, from its own source: test/addon/embeddings.test.ts compares them with ours.
add_executable(zse_llama_embedding EXCLUDE_FROM_ALL "${ZSE_LLAMA_DIR}/examples/embedding/embedding.cpp")
target_link_libraries(zse_llama_embedding PRIVATE llama-common llama)

# What needs llama.cpp to be tested: scripts/llama-tests.mjs builds it, with sanitizers.
if(UNIX)
  file(GLOB llama_test_sources CONFIGURE_DEPENDS test/llama/*.cpp)
  add_executable(zse_llama_tests EXCLUDE_FROM_ALL ${llama_test_sources} test/native/check_main.cpp)
  target_include_directories(zse_llama_tests PRIVATE test/native)
  target_compile_definitions(zse_llama_tests PRIVATE ZSE_DEMO_MODEL="${CMAKE_CURRENT_SOURCE_DIR}/models/demo/demo.gguf"
    ZSE_FIXTURES="${CMAKE_CURRENT_SOURCE_DIR}/test/fixtures/zse" ZSE_LLAMA_DIR="${ZSE_LLAMA_DIR}")
  target_link_libraries(zse_llama_tests PRIVATE zse_core zse_warnings)
endif()

# Libraries as those for a GPU, with a GPU of the tests in them: test/addon/gpu-library.test.ts. One is of another version.
foreach(name fake stale)
  add_library(zse_gpu_${name} MODULE EXCLUDE_FROM_ALL native/gpu/library.cpp test/gpu/fake_backend.cpp)
  target_include_directories(zse_gpu_${name} PRIVATE native)
  target_include_directories(zse_gpu_${name} SYSTEM PRIVATE "${ZSE_LLAMA_DIR}/ggml/src")
  set(contract_fake "${gpu_contract}")
  set(contract_stale "0.0.1")
  target_compile_definitions(zse_gpu_${name} PRIVATE ZSE_GPU_REGISTRATION=zse_fake_reg)
  target_compile_options(zse_gpu_${name} PRIVATE "-DZSE_GPU_CONTRACT=\"${contract_${name}}\"")
  target_link_libraries(zse_gpu_${name} PRIVATE ggml-base zse_warnings)
  set_target_properties(zse_gpu_${name} PROPERTIES PREFIX "" SUFFIX ".gpu" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
endforeach()
add_custom_target(zse_gpu_libraries DEPENDS zse_gpu_fake zse_gpu_stale)
