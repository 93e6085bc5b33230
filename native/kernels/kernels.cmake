# Owns how our kernels become a part of ggml's CPU backend: they are compiled with the flags of the target that is given, so that each
# variant of the backend has them for its own instruction set.
set(ZSE_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}")

function(zse_add_kernels target)
  get_filename_component(native "${ZSE_KERNELS_DIR}" DIRECTORY)
  file(GLOB sources CONFIGURE_DEPENDS "${ZSE_KERNELS_DIR}/*.cpp")
  target_sources(${target} PRIVATE ${sources})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 warns of its own AVX-512 header, wherever a function of it comes to stand.
    set_source_files_properties(${sources} TARGET_DIRECTORY ${target}
      PROPERTIES COMPILE_OPTIONS "-Wno-uninitialized;-Wno-maybe-uninitialized")
  endif()
  target_include_directories(${target} PRIVATE "${native}") # for ggml's own files, which our patches let call these
endfunction()
