// SPDX-License-Identifier: Apache-2.0
// JSON as used everywhere in frf: keys keep the order in which they were written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace frf {

using Json = nlohmann::ordered_json;

// Parses `text`; a syntax error becomes an Error that starts with `what` (a file name or an option).
Json ParseJson(const std::string& text, const std::string& what);

}  // namespace frf
