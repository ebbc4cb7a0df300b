# SPDX-License-Identifier: Apache-2.0
# Video: frf_video (queues, threads, finding the library; always built) and libfrf-video.so (FFmpeg behind it; FRF_VIDEO).
# A library of its own, opened when a video is named: FFmpeg's bring some two hundred others, which frf is to start without.
include(GNUInstallDirs)
file(GLOB video_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/video/*.cpp)
add_library(frf_video STATIC ${video_sources})
target_link_libraries(frf_video PUBLIC frf_base frf_image PRIVATE ${CMAKE_DL_LIBS})
target_precompile_headers(frf_video REUSE_FROM frf_base)
# Where the library lies once installed, as seen from the program's folder: no path of this machine.
file(RELATIVE_PATH frf_video_folder /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR}/frf)
target_compile_definitions(frf_video PRIVATE FRF_VIDEO_FOLDER="${frf_video_folder}")

if(NOT FRF_VIDEO)  # OFF in any spelling of CMake's; AUTO is not one
  return()
endif()
find_package(PkgConfig)
if(PkgConfig_FOUND)
  pkg_check_modules(FFMPEG IMPORTED_TARGET libavformat>=59 libavcodec>=59 libavutil>=57 libswscale>=6 libavdevice>=59)
endif()
if(NOT FFMPEG_FOUND)
  set(missing "FFmpeg's libraries (Debian: libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libavdevice-dev)")
  if(FRF_VIDEO STREQUAL "AUTO")
    message(STATUS "No video: ${missing} are not here")
    return()
  endif()
  message(FATAL_ERROR "FRF_VIDEO=${FRF_VIDEO} wants ${missing}")
endif()

file(GLOB ffmpeg_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/video/ffmpeg/*.cpp)
add_library(frf_video_ffmpeg MODULE ${ffmpeg_sources})
target_link_libraries(frf_video_ffmpeg PRIVATE frf_base frf_image PkgConfig::FFMPEG)
# Its copies of our functions are its own: only what libfrf-video.so is asked for leaves it.
target_link_options(frf_video_ffmpeg PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/libfrf-video.map -Wl,--as-needed)
set_target_properties(frf_video_ffmpeg PROPERTIES OUTPUT_NAME frf-video LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/frf)
target_precompile_headers(frf_video_ffmpeg REUSE_FROM frf_base)
install(TARGETS frf_video_ffmpeg LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/frf COMPONENT frf_video)
