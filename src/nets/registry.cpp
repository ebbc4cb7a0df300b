// SPDX-License-Identifier: Apache-2.0
// Names and options of networks. Subtle: options are completed with defaults before a network is built, so
// what is stored with a model rebuilds it even if a default changes later; a value outside its choices never
// reaches a network.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/nearest.h"
#include "frf/error.h"
#include "frf/image.h"
#include "nets/definition.h"
#include "nets/nets.h"

namespace frf {
namespace {

const std::vector<NetDefinition>& Definitions() {
  static const std::vector<NetDefinition> definitions = [] {
    std::vector<NetDefinition> all = FrfNetDefinitions();
    for (NetDefinition& definition : all) {
      definition.entry.options.insert(definition.entry.options.begin(),
                                      NetOption{"classes", "number of classes, 1 to 255", 19, {}});
    }
    return all;
  }();
  return definitions;
}

const NetDefinition& FindDefinition(const std::string& name) {
  std::vector<std::string> names;
  for (const NetDefinition& definition : Definitions()) {
    if (definition.entry.name == name) return definition;
    names.push_back(definition.entry.name);
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("network '{}' is unknown; the nearest are {} (frf info --list shows all)", name,
                          fmt::join(NearestNames(name, names), ", ")));
}

const NetOption& FindOption(const NetEntry& entry, const std::string& name) {
  std::vector<std::string> names;
  for (const NetOption& option : entry.options) {
    if (option.name == name) return option;
    names.push_back(option.name);
  }
  throw Error(ErrorCode::kUsage, fmt::format("{} has no option '{}'; the nearest are {}", entry.name, name,
                                             fmt::join(NearestNames(name, names), ", ")));
}

std::string Choices(const NetOption& option) {
  std::vector<std::string> texts;
  for (const Json& choice : option.choices)
    texts.push_back(choice.is_string() ? choice.get<std::string>() : choice.dump());
  return fmt::format("{}", fmt::join(texts, ", "));
}

// The value as its type wants it (3 for 3.0 where an integer is wanted), or an error.
Json Checked(const NetEntry& entry, const NetOption& option, const Json& value) {
  const auto refuse = [&](const std::string& wanted) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: option {} wants {}, got {}", entry.name, option.name, wanted, value.dump()));
  };
  if (!option.choices.empty()) {
    for (const Json& choice : option.choices) {
      const bool numbers = choice.is_number() && value.is_number();
      if (numbers ? std::abs(choice.get<double>() - value.get<double>()) < 1e-6 : choice == value)
        return choice;
    }
    refuse("one of " + Choices(option));
  }
  const Json& like = option.default_value;
  if (like.is_boolean()) {
    if (!value.is_boolean()) refuse("true or false");
    return value;
  }
  if (like.is_number_integer()) {
    if (!value.is_number() || value.get<double>() != std::floor(value.get<double>()) ||
        std::abs(value.get<double>()) > 1e9) {
      refuse("an integer");
    }
    return Json(static_cast<std::int64_t>(value.get<double>()));
  }
  if (like.is_number()) {
    if (!value.is_number()) refuse("a number");
    return Json(value.get<double>());
  }
  if (!value.is_string()) refuse("a word");
  return value;
}

Json FromText(const NetEntry& entry, const NetOption& option, const std::string& text) {
  for (const Json& choice : option.choices) {
    if (choice.is_string() && choice.get<std::string>() == text) return choice;
  }
  if (option.default_value.is_boolean()) {
    if (text == "true" || text == "on" || text == "1") return true;
    if (text == "false" || text == "off" || text == "0") return false;
  } else if (option.default_value.is_number()) {
    const Json number = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (number.is_number()) return Checked(entry, option, number);
  }
  return Checked(entry, option, text);
}

}  // namespace

const std::vector<NetEntry>& ListNets() {
  static const std::vector<NetEntry> entries = [] {
    std::vector<NetEntry> all;
    for (const NetDefinition& definition : Definitions()) all.push_back(definition.entry);
    return all;
  }();
  return entries;
}

Json CompleteOptions(const std::string& name, const Json& options) {
  const NetDefinition& definition = FindDefinition(name);
  if (!options.is_null() && !options.is_object()) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: options must be a JSON object, got {}", name, options.dump()));
  }
  Json given = Json::object();
  for (const auto& [key, value] : options.items()) {
    given[key] = Checked(definition.entry, FindOption(definition.entry, key), value);
  }
  Json completed = Json::object();
  for (const NetOption& option : definition.entry.options) {
    completed[option.name] = given.contains(option.name) ? given[option.name] : option.default_value;
  }
  const std::int64_t classes = completed["classes"].get<std::int64_t>();
  if (classes < 1 || classes > kMaxClasses) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: option classes wants 1 to {}, got {}", name, kMaxClasses, classes));
  }
  if (definition.resolve) definition.resolve(given, completed);
  return completed;
}

Graph BuildNet(const std::string& name, const Json& options) {
  return FindDefinition(name).build(CompleteOptions(name, options));
}

Json ParseNetOptions(const std::string& name, const std::string& text) {
  const NetEntry& entry = FindDefinition(name).entry;
  Json options = Json::object();
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: options are written name=value,name=value; got '{}'", name, item));
    }
    const NetOption& option = FindOption(entry, item.substr(0, equals));
    if (options.contains(option.name))
      throw Error(ErrorCode::kUsage, fmt::format("{}: option {} is given twice", name, option.name));
    options[option.name] = FromText(entry, option, item.substr(equals + 1));
    begin = end + 1;
  }
  return options;
}

}  // namespace frf
