// SPDX-License-Identifier: Apache-2.0
// Fields out of an edited JSON object. nlohmann turns 2.7 into 2, true into 1 and 4294967304 into 8 without a
// word; a recipe should not.
//
//   FieldReader read{json, "mine.json: loss"};
//   read("ohem_share", spec.ohem_share);      // stays as it is where the object has no such field
//
// Throws kUsage: "mine.json: loss: 'ohem_share' is "all", a number is wanted".
#pragma once

#include <fmt/format.h>

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "frf/error.h"

namespace frf {

struct FieldReader {
  const Json& json;
  const std::string what;

  template <typename T>
  void operator()(const char* key, T& value) const {
    if (const auto found = json.find(key); found != json.end()) value = As<T>(key, *found);
  }
  template <typename T>
  void operator()(const char* key, std::vector<T>& values) const {
    const auto found = json.find(key);
    if (found == json.end()) return;
    if (!found->is_array()) Wrong(key, *found, "a list");
    values.clear();
    for (const Json& each : *found) values.push_back(As<T>(key, each));
  }
  // A choice by its name; `from_name` throws for one that it does not know.
  template <typename T, typename FromName>
  void Named(const char* key, T& value, const FromName& from_name) const {
    if (const auto found = json.find(key); found != json.end())
      value = from_name(As<std::string>(key, *found));
  }

 private:
  template <typename T>
  T As(const char* key, const Json& given) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (!given.is_boolean()) Wrong(key, given, "true or false");
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!given.is_string()) Wrong(key, given, "a text");
    } else if constexpr (std::is_integral_v<T>) {
      const bool fits = given.is_number_unsigned()  ? std::in_range<T>(given.get<std::uint64_t>())
                        : given.is_number_integer() ? std::in_range<T>(given.get<std::int64_t>())
                                                    : false;
      if (!fits) Wrong(key, given, given.is_number_integer() ? "a smaller number" : "a whole number");
    } else {
      if (!given.is_number()) Wrong(key, given, "a number");
    }
    return given.get<T>();
  }
  [[noreturn]] void Wrong(const char* key, const Json& given, const char* wanted) const {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: '{}' is {}, {} is wanted", what, key, given.dump(), wanted));
  }
};

}  // namespace frf
