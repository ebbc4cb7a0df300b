# SPDX-License-Identifier: Apache-2.0
# The engine's kernels: one translation unit an instruction set, each with its own flags and without the precompiled
# header (an inline function of a standard header, compiled with AVX-512, must not be what the linker keeps for all).
set(kernels ${PROJECT_SOURCE_DIR}/src/engine/kernels)
set(pairs ${kernels}/isa_avx512_bf16.cpp ${kernels}/isa_avx512_f16.cpp ${kernels}/isa_avx512_f16_emulated.cpp)
set_source_files_properties(${kernels}/isa_baseline.cpp ${kernels}/isa_avx2.cpp ${kernels}/isa_avx512.cpp ${pairs}
  TARGET_DIRECTORY frf_engine PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
set_source_files_properties(${kernels}/isa_baseline.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS "${FRF_KERNEL_OPTIONS}")
if(FRF_X86)
  set_source_files_properties(${kernels}/isa_avx2.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS
    "${FRF_KERNEL_OPTIONS};-mavx2;-mfma")
  set_source_files_properties(${kernels}/isa_avx512.cpp ${kernels}/isa_avx512_f16_emulated.cpp TARGET_DIRECTORY frf_engine
    PROPERTIES COMPILE_OPTIONS "${FRF_AVX512_OPTIONS}")
  set_source_files_properties(${kernels}/isa_avx512_bf16.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS
    "${FRF_AVX512_OPTIONS};-mavx512bf16")
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mavx512fp16 FRF_HAS_AVX512FP16)  # GCC from 12, clang from 14
  set_source_files_properties(${kernels}/isa_avx512_f16.cpp TARGET_DIRECTORY frf_engine PROPERTIES COMPILE_OPTIONS
    "${FRF_AVX512_OPTIONS};$<$<BOOL:${FRF_HAS_AVX512FP16}>:-mavx512fp16>")
else()
  set_source_files_properties(${kernels}/isa_avx2.cpp ${kernels}/isa_avx512.cpp ${pairs} TARGET_DIRECTORY frf_engine
    PROPERTIES HEADER_FILE_ONLY ON)
endif()
