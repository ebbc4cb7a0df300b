// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <fmt/format.h>

#include "frf/error.h"

namespace frf {
namespace {

// nlohmann's copying, comparing and dump() recurse: hostile nesting must not reach them.
void CheckDepth(const std::string& text, const std::string& what) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxJsonDepth) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: JSON nested deeper than {} levels", what, kMaxJsonDepth));
    }
  }
}

}  // namespace

Json ParseJson(const std::string& text, const std::string& what) {
  CheckDepth(text, what);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kCorruptFile, what + ": not JSON: " + JsonReason(error));
  }
}

std::string JsonReason(const Json::exception& error) {
  const std::string reason = error.what();
  const std::size_t behind = reason.starts_with('[') ? reason.find("] ") : std::string::npos;
  return behind == std::string::npos ? reason : reason.substr(behind + 2);
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
