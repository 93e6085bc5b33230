# ccache, where there is one. Objects are shared between clones (base_dir). -march=native means another thing on another
# processor, which ccache cannot see, so the processor goes into the hash. ZSE_ROOT is the repository.
find_program(ZSE_CCACHE ccache)
if(ZSE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_HOST_WIN32)
  set(host_cpu "")
  if(EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo host_cpu REGEX "^(model name|flags|Features)" LIMIT_COUNT 2)
  elseif(APPLE)
    execute_process(COMMAND sysctl -n machdep.cpu.brand_string OUTPUT_VARIABLE host_cpu)
  endif()
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/host-cpu.txt CONTENT "${host_cpu}\n")
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${ZSE_ROOT} CCACHE_NOHASHDIR=1
      CCACHE_EXTRAFILES=${CMAKE_BINARY_DIR}/host-cpu.txt ${ZSE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
endif()
set(GGML_CCACHE OFF CACHE BOOL "" FORCE) # ggml would set its own on top
