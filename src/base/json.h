// SPDX-License-Identifier: Apache-2.0
// JSON as used everywhere in frf: keys keep the order in which they were written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace frf {

using Json = nlohmann::ordered_json;

// Parses `text`; a syntax error, or nesting deeper than kMaxJsonDepth, becomes an Error that starts with
// `what` (a file name or an option).
constexpr int kMaxJsonDepth = 64;
Json ParseJson(const std::string& text, const std::string& what);

// What the library says, without its own "[json.exception.parse_error.101] " in front.
std::string JsonReason(const Json::exception& error);

// Whether JSON can hold `text` as it is: names of files and metadata need not be UTF-8.
bool IsUtf8(const std::string& text);

}  // namespace frf
