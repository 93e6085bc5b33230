# Owns how our kernels become a part of ggml's CPU backend: they are compiled with the flags of the target that is given, so that each
# variant of the backend has them for its own instruction set.
set(ZSE_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}")

function(zse_add_kernels target)
  get_filename_component(native "${ZSE_KERNELS_DIR}" DIRECTORY)
  target_include_directories(${target} PRIVATE "${native}")
endfunction()
