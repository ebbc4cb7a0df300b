# SPDX-License-Identifier: Apache-2.0
# frf-train: everything that needs libtorch. Its rooms below (base, image, graph, nets, data, metrics) are shared with frf.

# No kernels are compiled here, so any architecture will do; without one, a libtorch with CUDA would compile and run a program
# that asks for the GPUs at hand, which fails where CMake is older than nvcc.
if(NOT DEFINED TORCH_CUDA_ARCH_LIST AND NOT DEFINED ENV{TORCH_CUDA_ARCH_LIST})
  set(TORCH_CUDA_ARCH_LIST "8.0")
endif()
find_package(Torch REQUIRED)

# Programs share the room's precompiled header, which is compiled with -fPIC: -fPIE, CMake's choice for programs, would make
# the compiler reject it and read libtorch's headers again for every file.
function(frf_reuse_torch_headers target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM frf_train_room)
endfunction()

file(GLOB_RECURSE train_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/train/*.cpp)
list(FILTER train_sources EXCLUDE REGEX "/main_[a-z_]+\\.cpp$")
if(train_sources)
  add_library(frf_train_room STATIC ${train_sources})
  target_link_libraries(frf_train_room PUBLIC frf_nets frf_data frf_metrics ${TORCH_LIBRARIES})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  # -O1: loops that take time are in kernels/; all else is calls of libtorch, and compiles in half of the time that -O3 takes. In
  # everything that shares the precompiled header, which holds for one level only.
  target_compile_options(frf_train_room PUBLIC ${torch_flags} -Wno-unused-parameter $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(frf_train_room PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch_torch.h)
  # Kernels know nothing of libtorch and are compiled without its headers; sums may fuse, square roots set no errno.
  file(GLOB train_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/train/kernels/*.cpp)
  set_source_files_properties(${train_kernels} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "-ffp-contract=fast;-fno-math-errno;$<$<CONFIG:Release>:-O3>")
  if(FRF_AVX512_OPTIONS)  # its kernels are written with the engine's
    set_source_files_properties(${PROJECT_SOURCE_DIR}/src/train/kernels/winograd_avx512.cpp
      ${PROJECT_SOURCE_DIR}/src/train/kernels/winograd_gradient_avx512.cpp PROPERTIES
      COMPILE_OPTIONS "${FRF_AVX512_OPTIONS};$<$<CONFIG:Release>:-O3>")
  endif()
  # CUDA's headers and libraries come with a libtorch that was built for it.
  if(TORCH_CUDA_LIBRARIES OR TARGET torch_cuda)
    target_compile_definitions(frf_train_room PUBLIC FRF_TRAIN_CUDA=1)
  endif()
  # oneDNN 2.x directly, but only the very library that libtorch uses: two of them in one program would mix their symbols.
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
  find_library(DNNL_LIBRARY NAMES libdnnl.so.2 dnnl)
  find_library(frf_torch_cpu torch_cpu HINTS ${TORCH_INSTALL_PREFIX}/lib)
  if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY AND frf_torch_cpu AND CMAKE_READELF)
    execute_process(COMMAND ${CMAKE_READELF} -d ${frf_torch_cpu} OUTPUT_VARIABLE torch_needs ERROR_QUIET)
    if(torch_needs MATCHES "libdnnl\\.so\\.2")
      target_link_libraries(frf_train_room PRIVATE ${DNNL_LIBRARY})
      target_include_directories(frf_train_room SYSTEM PRIVATE ${DNNL_INCLUDE_DIR})
      set_source_files_properties(${PROJECT_SOURCE_DIR}/src/train/kernels/convolution.cpp PROPERTIES
        COMPILE_DEFINITIONS FRF_TRAIN_ONEDNN=1)
    endif()
  endif()
  # Several processes: what libtorch was built with, where the headers that c10d's own include are there too. Debian's
  # libtorch has Gloo, its headers are in libgloo-dev; those of another Gloo than libtorch's would not fit it, so nowhere
  # else. A PyTorch wheel comes with NCCL as a package beside it.
  find_path(GLOO_INCLUDE_DIR gloo/config.h PATHS ${TORCH_INSTALL_PREFIX}/include ${TORCH_INCLUDE_DIRS} NO_DEFAULT_PATH)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${TORCH_INSTALL_PREFIX}/../nvidia/nccl/include)
  option(FRF_NCCL "Sums over GPUs by NCCL, where libtorch has CUDA and nccl.h is found" ON)
  set(distributed_definitions)
  if(GLOO_INCLUDE_DIR AND frf_torch_cpu)
    if(NOT DEFINED FRF_TORCH_GLOO)
      file(STRINGS ${frf_torch_cpu} found REGEX "ProcessGroupGloo" LIMIT_COUNT 1)
      string(COMPARE NOTEQUAL "${found}" "" found)
      set(FRF_TORCH_GLOO ${found} CACHE INTERNAL "libtorch has Gloo")
    endif()
    if(FRF_TORCH_GLOO)
      list(APPEND distributed_definitions USE_C10D_GLOO=1)
      target_include_directories(frf_train_room SYSTEM PRIVATE ${GLOO_INCLUDE_DIR})
    endif()
  endif()
  if(FRF_NCCL AND NCCL_INCLUDE_DIR AND TARGET torch_cuda)
    list(APPEND distributed_definitions USE_C10D_NCCL=1)
    target_include_directories(frf_train_room SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
  endif()
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/train/distributed.cpp PROPERTIES
    COMPILE_DEFINITIONS "${distributed_definitions}")
  if(NOT distributed_definitions)
    message(STATUS "frf-train over several processes: no, neither Gloo's headers (libgloo-dev) nor NCCL's are here")
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/src/train/main_train.cpp)
    frf_program(frf-train train/main_train.cpp frf_train_room)
    frf_reuse_torch_headers(frf-train)
    set_target_properties(frf-train PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)  # libtorch may be a wheel's
    install(TARGETS frf-train RUNTIME DESTINATION bin COMPONENT frf_train)
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/bench/train_step.cpp)
    add_executable(frf_bench_step EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/train_step.cpp)
    target_link_libraries(frf_bench_step PRIVATE frf_train_room)
    frf_reuse_torch_headers(frf_bench_step)
  endif()
endif()
