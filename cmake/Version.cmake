# SPDX-License-Identifier: Apache-2.0
# The version and the commit, into OUT. A source tree that was unpacked inside another project's checkout is not that one's: its
# commit is unknown unless git has these files.
execute_process(COMMAND git -C ${SOURCE} ls-files --error-unmatch CMakeLists.txt RESULT_VARIABLE foreign OUTPUT_QUIET ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                RESULT_VARIABLE failed ERROR_QUIET)
if(foreign OR failed)
  set(commit unknown)
else()
  execute_process(COMMAND git -C ${SOURCE} diff --quiet HEAD -- src include cmake CMakeLists.txt RESULT_VARIABLE changed ERROR_QUIET)
  if(changed)
    string(APPEND commit "+")
  endif()
endif()
set(text "#define FRF_VERSION \"${VERSION}\"\n#define FRF_COMMIT \"${commit}\"\n")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()
