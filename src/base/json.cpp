// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "frf/error.h"

namespace frf {

Json ParseJson(const std::string& text, const std::string& what) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kCorruptFile, what + ": not JSON: " + error.what());
  }
}

bool IsUtf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace frf
