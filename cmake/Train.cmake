# SPDX-License-Identifier: Apache-2.0
# frf-train: everything that needs libtorch. Its rooms below (base, image, graph, nets, data, metrics) are shared with frf.
find_package(Torch REQUIRED)

file(GLOB_RECURSE train_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/train/*.cpp)
list(FILTER train_sources EXCLUDE REGEX "/main_[a-z_]+\\.cpp$")
if(train_sources)
  add_library(frf_train_room STATIC ${train_sources})
  target_link_libraries(frf_train_room PUBLIC frf_nets frf_data frf_metrics ${TORCH_LIBRARIES})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(frf_train_room PUBLIC ${torch_flags} -Wno-unused-parameter)
  target_precompile_headers(frf_train_room PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch_torch.h)
  if(EXISTS ${PROJECT_SOURCE_DIR}/src/train/main_train.cpp)
    frf_program(frf-train train/main_train.cpp frf_train_room)
    target_precompile_headers(frf-train REUSE_FROM frf_train_room)
  endif()
endif()
