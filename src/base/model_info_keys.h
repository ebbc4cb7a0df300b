// SPDX-License-Identifier: Apache-2.0
// The table of `frf.*` keys: their order, their form, how each value is read and written. Only model_info.cpp
// uses it.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "base/model_info.h"
#include "base/text.h"
#include "frf/error.h"

namespace frf::info_keys {

// Names of the keys whose value is plain text in metadata_props; the others hold JSON.
enum class Form { kText, kJson };

struct Source {  // where a value stands, for errors
  const std::string& file;
  std::string key;
  [[noreturn]] void Fail(const std::string& message) const {
    throw Error(ErrorCode::kCorruptFile, fmt::format("{}: '{}' {}", file, Printable(key), message));
  }
};

struct Key {
  const char* name;  // without "frf."
  Form form;
  std::function<Json(const ModelInfo&)> get;  // null: not written
  std::function<void(ModelInfo&, const Json&, const Source&)> set;
};

// The value as text or as an object, or an error that names where it stands.
std::string JsonText(const Json& value, const Source& at);
const Json& JsonObject(const Json& value, const Source& at);

const std::vector<Key>& Keys();               // in the order of the table in docs/formats.md
const Key* FindKey(const std::string& name);  // nullptr when it is none of ours

}  // namespace frf::info_keys
