# Owns which levels of instructions a portable build carries. Included from ggml/src/CMakeLists.txt (vendor/patches/0013), so that ggml's own
# functions and relative paths work. Each level is ggml's CPU backend compiled with its flags; before they are linked together, each one's
# symbols get the level's name in front (rename_symbols.cmake), down to the inline functions of the standard library: a linker that
# finds one function in several levels would keep any of them, and a processor might not have its instructions.
# cpu_level.cpp picks one at run time. Sets ZSE_CPU_LEVEL_NAMES, lowest first.

add_subdirectory(ggml-cpu) # defines ggml_add_cpu_backend_variant_impl; a folder of functions alone

if(GGML_SYSTEM_ARCH STREQUAL "x86")
  set(zse_level_sse42 SSE42)
  set(zse_level_avx2 SSE42 AVX F16C FMA AVX2 BMI2)
  set(zse_level_avxvnni SSE42 AVX F16C FMA AVX2 BMI2 AVX_VNNI) # client processors, which have no AVX-512
  set(zse_level_avx512 SSE42 AVX F16C FMA AVX2 BMI2 AVX512 AVX512_VNNI)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # ggml's kernels for AMX, used where the processor and the system have it (vendor/patches/0031). A compiler writes none of these
    # instructions by itself. Other systems have other ways to ask for its registers, which ggml does not go.
    list(APPEND zse_level_avx512 AMX_TILE AMX_INT8)
  endif()
  set(ZSE_CPU_LEVEL_NAMES sse42 avx2 avxvnni avx512)
elseif(GGML_SYSTEM_ARCH STREQUAL "ARM" AND NOT APPLE)
  set(zse_level_neon)
  set(zse_level_dotprod DOTPROD FP16_VECTOR_ARITHMETIC)
  set(zse_level_i8mm DOTPROD FP16_VECTOR_ARITHMETIC MATMUL_INT8)
  set(ZSE_CPU_LEVEL_NAMES neon dotprod i8mm)
elseif(APPLE)
  set(zse_level_apple DOTPROD) # the M1's: every Mac with such a processor has it
  set(ZSE_CPU_LEVEL_NAMES apple)
else()
  message(FATAL_ERROR "A portable build knows no levels for ${GGML_SYSTEM_ARCH}: build without ZSE_PORTABLE.")
endif()
set(ZSE_CPU_LEVEL_NAMES ${ZSE_CPU_LEVEL_NAMES} CACHE INTERNAL "levels of the CPU backend, lowest first")

# As where ggml registers its one CPU backend: the rest is compiled by the same commands, and ccache has it already.
target_compile_definitions(ggml INTERFACE GGML_USE_CPU)

find_program(ZSE_NM      NAMES llvm-nm nm           REQUIRED)
find_program(ZSE_OBJCOPY NAMES llvm-objcopy objcopy REQUIRED)

foreach(level IN LISTS ZSE_CPU_LEVEL_NAMES)
  ggml_add_cpu_backend_variant(${level} ${zse_level_${level}})
  add_custom_command(TARGET ggml-cpu-${level} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -DARCHIVE=$<TARGET_FILE:ggml-cpu-${level}> -DPREFIX=zse_${level}_ -DNM=${ZSE_NM} -DOBJCOPY=${ZSE_OBJCOPY}
            -P "${CMAKE_CURRENT_LIST_DIR}/rename_symbols.cmake"
    VERBATIM)
endforeach()
