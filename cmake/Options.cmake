# SPDX-License-Identifier: Apache-2.0
# Compiler options, precompiled header, and how a room becomes a library.

find_program(FRF_CCACHE ccache)
if(FRF_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # time_macros and pch_defines: without them ccache refuses translation units that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FRF_CCACHE})
endif()

add_library(frf_options INTERFACE)
target_compile_options(frf_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
target_include_directories(frf_options INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
# fmt as the system's library: as headers it is compiled anew in every file, a third of the whole build. As headers where frf-train
# alone is built, which must link against a libtorch of either C++ ABI, and where there is no library.
target_compile_definitions(frf_options INTERFACE SPDLOG_FMT_EXTERNAL=1)
if(NOT FRF_TRAIN_ONLY)  # there its package may be without the library, which finding it would call an error
  find_package(fmt QUIET)
endif()
if(TARGET fmt::fmt)
  target_link_libraries(frf_options INTERFACE fmt::fmt)
else()
  target_compile_definitions(frf_options INTERFACE FMT_HEADER_ONLY=1)
endif()
# For the fuzz targets in tests/fuzz: clang's coverage and sanitizers in every library.
option(FRF_FUZZ "Build the fuzz targets (needs clang)" OFF)
if(FRF_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "FRF_FUZZ needs clang: configure with -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang")
  endif()
  set(FRF_SANITIZE address,undefined)
  target_compile_options(frf_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FRF_SANITIZE)
  # Undefined behaviour ends the program as bad addresses do: by default it is printed and passed over, which fails no test.
  set(sanitizers -fsanitize=${FRF_SANITIZE} -fno-sanitize-recover=undefined)
  target_compile_options(frf_options INTERFACE ${sanitizers} -fno-omit-frame-pointer -g)
  target_link_options(frf_options INTERFACE ${sanitizers})
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# Version and commit: asked at every build, written only when changed, so nothing is rebuilt without need.
add_custom_target(frf_version_header
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUT=${CMAKE_BINARY_DIR}/generated/frf_version.inc
          -DVERSION=${PROJECT_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/Version.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/frf_version.inc)

# One static library from src/<room>/**.cpp.
function(frf_room room)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main_[a-z_]+\\.cpp$")
  if(sources)
    add_library(frf_${room} STATIC ${sources})
    target_link_libraries(frf_${room} PUBLIC frf_options)
  else()
    add_library(frf_${room} INTERFACE)
    target_link_libraries(frf_${room} INTERFACE frf_options)
  endif()
  if(room STREQUAL "base")
    add_dependencies(frf_base frf_version_header)
    target_include_directories(frf_base PRIVATE ${CMAKE_BINARY_DIR}/generated)
    target_precompile_headers(frf_base PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)
  elseif(sources)
    target_precompile_headers(frf_${room} REUSE_FROM frf_base)
  endif()
endfunction()

# A program that shares a library's precompiled header. Libraries are compiled with -fPIC; with CMake's choice for programs, -fPIE,
# the compiler would reject the header without a word and read everything again for every file.
function(frf_reuse_headers target from)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM ${from})
endfunction()

# A program: its main file and the libraries given.
function(frf_program name main)
  add_executable(${name} ${PROJECT_SOURCE_DIR}/src/${main})
  target_link_libraries(${name} PRIVATE ${ARGN})
endfunction()

# Kernels in vectors, the engine's and the trainer's: options of their own, file by file.
set(FRF_X86 FALSE)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(FRF_X86 TRUE)
endif()
set(FRF_KERNEL_OPTIONS -fno-exceptions -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND FRF_X86)
  # GCC spills pointers into vector registers, which the products have none of to spare.
  list(APPEND FRF_KERNEL_OPTIONS -mtune-ctrl=^general_regs_sse_spill)
endif()
if(CMAKE_BUILD_TYPE STREQUAL Debug)
  list(APPEND FRF_KERNEL_OPTIONS -O2)  # without inlining, vector code is hundreds of times slower
endif()
if(FRF_X86)
  # GCC 12 takes the undefined pass-through operand of its own AVX-512 intrinsics for an uninitialised variable.
  set(FRF_AVX512_OPTIONS ${FRF_KERNEL_OPTIONS} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
    -Wno-maybe-uninitialized -Wno-uninitialized)
endif()
