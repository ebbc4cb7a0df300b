# SPDX-License-Identifier: Apache-2.0
# libfrf.so, what stands in include/frf, and the installed tree: `cmake --install BUILD --prefix DIR [--strip]`. Nothing in that
# tree holds its own path, so it can be moved or packed (docs/deploy.md).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The rooms' objects are the programs' own; what leaves the library is decided by cmake/libfrf.map when it is linked.
# The engine's objects go in whole, since nothing refers to the C API; of the other rooms what the engine needs.
add_library(frf_library SHARED $<TARGET_OBJECTS:frf_engine>)
target_link_libraries(frf_library PRIVATE frf_engine)
target_include_directories(frf_library INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(frf_library INTERFACE cxx_std_17)
# Before 1.0 a minor version may change the C++ classes, and says so by the library's name.
set_target_properties(frf_library PROPERTIES OUTPUT_NAME frf EXPORT_NAME frf VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
  LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/libfrf.map)
# nodelete: dlclose would unload libonnx_proto and leave libprotobuf, in which the next load would find its messages
# registered already and end the process.
target_link_options(frf_library PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/libfrf.map -Wl,--as-needed -Wl,-z,nodelete)
if(NOT FRF_SANITIZE AND NOT FRF_FUZZ)  # sanitizers' symbols come with the program
  target_link_options(frf_library PRIVATE -Wl,-z,defs)
endif()
add_library(frf::frf ALIAS frf_library)

# Component `frf`: program, library, weights. `frf_development`: what other programs are built with. `frf_train`: frf-train.
set(frf_data ${CMAKE_INSTALL_DATAROOTDIR}/frf)
install(TARGETS frf RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT frf)
install(TARGETS frf_library EXPORT frfTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT frf NAMELINK_COMPONENT frf_development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights/ DESTINATION ${frf_data}/weights COMPONENT frf
  FILES_MATCHING PATTERN "*.onnx" PATTERN "README.md")
# Messages and --help name docs/*.md, the card shows pictures of theirs: all beside the weights, as in the repository.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${frf_data} COMPONENT frf
  FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN "*.svg")
# README.md links the other two; a page without what it links to would be half a page.
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CONTRIBUTING.md ${PROJECT_SOURCE_DIR}/LICENSE
  DESTINATION ${frf_data} COMPONENT frf)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${frf_data} COMPONENT frf
  FILES_MATCHING PATTERN "*.c" PATTERN "*.cpp" PATTERN "CMakeLists.txt" PATTERN "Makefile" PATTERN "build*" EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/frf DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT frf_development
  FILES_MATCHING PATTERN "*.h")

set(frf_package ${CMAKE_INSTALL_LIBDIR}/cmake/frf)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/frfConfig.cmake.in ${CMAKE_BINARY_DIR}/package/frfConfig.cmake
  INSTALL_DESTINATION ${frf_package} PATH_VARS frf_data)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/frfConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/frfConfig.cmake ${CMAKE_BINARY_DIR}/package/frfConfigVersion.cmake
  DESTINATION ${frf_package} COMPONENT frf_development)
install(EXPORT frfTargets NAMESPACE frf:: DESTINATION ${frf_package} COMPONENT frf_development)

# From the folder of frf.pc to the prefix: pkg-config follows the tree wherever it is.
file(RELATIVE_PATH frf_pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" frf_pc_to_prefix "${frf_pc_to_prefix}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/frf.pc.in ${CMAKE_BINARY_DIR}/package/frf.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/frf.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT frf_development)
