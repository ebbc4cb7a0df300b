# SPDX-License-Identifier: Apache-2.0
# The engine's kernels: one translation unit an instruction set, each with its own flags and without the precompiled
# header (an inline function of a standard header, compiled with AVX-512, must not be what the linker keeps for all).
set(kernels ${PROJECT_SOURCE_DIR}/src/engine/kernels)
set(kernel_flags -fno-exceptions -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # GCC spills pointers into vector registers, which the products have none of to spare.
  list(APPEND kernel_flags -mtune-ctrl=^general_regs_sse_spill)
endif()
if(CMAKE_BUILD_TYPE STREQUAL Debug)
  list(APPEND kernel_flags -O2)  # without inlining, vector code is hundreds of times slower
endif()
set_source_files_properties(${kernels}/isa_baseline.cpp ${kernels}/isa_avx2.cpp ${kernels}/isa_avx512.cpp
  TARGET_DIRECTORY frf_engine PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
set(x86 FALSE)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(x86 TRUE)
endif()
set_source_files_properties(${kernels}/isa_baseline.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS "${kernel_flags}")
if(x86)
  set_source_files_properties(${kernels}/isa_avx2.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS
    "${kernel_flags};-mavx2;-mfma")
  # GCC 12 takes the undefined pass-through operand of its own AVX-512 intrinsics for an uninitialised variable.
  set_source_files_properties(${kernels}/isa_avx512.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS
    "${kernel_flags};-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mfma;-mprefer-vector-width=512;-Wno-maybe-uninitialized;-Wno-uninitialized")
else()
  set_source_files_properties(${kernels}/isa_avx2.cpp ${kernels}/isa_avx512.cpp TARGET_DIRECTORY frf_engine
    PROPERTIES HEADER_FILE_ONLY ON)
endif()
