# SPDX-License-Identifier: Apache-2.0
# The verbs as a library (tests link it too) and the program on top.
find_package(CLI11 REQUIRED)
file(GLOB cli_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.cpp)
list(FILTER cli_sources EXCLUDE REGEX "/main_[a-z_]+\\.cpp$")
add_library(frf_cli STATIC ${cli_sources})
target_link_libraries(frf_cli PUBLIC frf_engine frf_nets frf_data frf_metrics frf_onnx frf_video CLI11::CLI11)
# Parsing and printing: nothing here is worth the third of the compile time that more optimisation takes.
target_compile_options(frf_cli PRIVATE $<$<CONFIG:Release>:-O1>)
target_precompile_headers(frf_cli PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch_cli.h)
frf_program(frf cli/main_frf.cpp frf_cli)
frf_reuse_headers(frf frf_cli)
target_compile_options(frf PRIVATE $<$<CONFIG:Release>:-O1>)  # as what the precompiled header was compiled with
if(TARGET frf_video_ffmpeg)
  add_dependencies(frf frf_video_ffmpeg)
endif()
