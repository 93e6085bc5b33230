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
    # Kernels for AMX, ggml's and ours, used where the processor and the system have it (vendor/patches/0031). A compiler writes none of these
    # instructions by itself. Other systems have other ways to ask for its registers, which ggml does not go.
    list(APPEND zse_level_avx512 AMX_TILE AMX_INT8 AMX_BF16)
  endif()
  set(zse_macro_sse42 __SSE4_2__)
  set(zse_macro_avx2 __AVX2__)
  set(zse_macro_avxvnni __AVXVNNI__)
  set(zse_macro_avx512 __AVX512VNNI__)
  set(ZSE_CPU_LEVEL_NAMES sse42 avx2 avxvnni avx512)
elseif(GGML_SYSTEM_ARCH STREQUAL "ARM" AND NOT APPLE)
  # ggml has flags for single instructions only where it builds libraries, so these are said here, in the words of the compiler.
  if(ZSE_ZIG)
    set(zse_arch_dotprod generic+v8_2a+dotprod+fullfp16)
  else()
    set(zse_arch_dotprod armv8.2-a+dotprod+fp16)
  endif()
  set(zse_arch_i8mm ${zse_arch_dotprod}+i8mm)
  set(zse_macro_neon __ARM_NEON)
  set(zse_macro_dotprod __ARM_FEATURE_DOTPROD)
  set(zse_macro_i8mm __ARM_FEATURE_MATMUL_INT8)
  set(ZSE_CPU_LEVEL_NAMES neon dotprod i8mm)
elseif(APPLE)
  set(zse_macro_apple __ARM_FEATURE_DOTPROD) # the M1's: every Mac with such a processor has it, and its compiler takes it for granted
  set(ZSE_CPU_LEVEL_NAMES apple)
else()
  message(FATAL_ERROR "A portable build knows no levels for ${GGML_SYSTEM_ARCH}: build without ZSE_PORTABLE.")
endif()
set(ZSE_CPU_LEVEL_NAMES ${ZSE_CPU_LEVEL_NAMES} CACHE INTERNAL "levels of the CPU backend, lowest first")

# As where ggml registers its one CPU backend: the rest is compiled by the same commands, and ccache has it already.
target_compile_definitions(ggml INTERFACE GGML_USE_CPU)

find_program(ZSE_NM      NAMES llvm-nm nm           REQUIRED)
find_program(ZSE_OBJCOPY NAMES llvm-objcopy objcopy REQUIRED)

# A level that was compiled without its instructions gives the right results, slowly: nobody would notice.
include(CheckCSourceCompiles)
function(zse_check_level level macro)
  get_target_property(flags ggml-cpu-${level} COMPILE_OPTIONS)
  if(NOT flags)
    set(flags "")
  endif()
  string(GENEX_STRIP "${flags}" flags)
  string(REPLACE ";" " " CMAKE_REQUIRED_FLAGS "${flags}")
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  check_c_source_compiles("
    #if !${macro}
    #error
    #endif
    int zse_level;" ZSE_LEVEL_${level}_IS_REAL)
  if(NOT ZSE_LEVEL_${level}_IS_REAL)
    message(FATAL_ERROR "The level ${level} is compiled without ${macro}: its flags are \"${flags}\".")
  endif()
endfunction()

foreach(level IN LISTS ZSE_CPU_LEVEL_NAMES)
  set(GGML_CPU_ARM_ARCH ${zse_arch_${level}})
  ggml_add_cpu_backend_variant(${level} ${zse_level_${level}})
  if(NOT MSVC)
    zse_check_level(${level} ${zse_macro_${level}})
  endif()
  add_custom_command(TARGET ggml-cpu-${level} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -DARCHIVE=$<TARGET_FILE:ggml-cpu-${level}> -DPREFIX=zse_${level}_ -DNM=${ZSE_NM} -DOBJCOPY=${ZSE_OBJCOPY}
            -P "${CMAKE_CURRENT_LIST_DIR}/rename_symbols.cmake"
    VERBATIM)
endforeach()
