# Owns how our kernels become a part of ggml's CPU backend: they are compiled with the flags of the target that is given, so that each
# variant of the backend has them for its own instruction set.
set(ZSE_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}")

function(zse_add_kernels target)
  get_filename_component(native "${ZSE_KERNELS_DIR}" DIRECTORY)
  file(GLOB sources CONFIGURE_DEPENDS "${ZSE_KERNELS_DIR}/*.cpp")
  target_sources(${target} PRIVATE ${sources})
  target_include_directories(${target} PRIVATE "${native}") # for ggml's own files, which our patches let call these
endfunction()
