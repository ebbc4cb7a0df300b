// SPDX-License-Identifier: Apache-2.0
// ModelInfo <-> metadata strings <-> JSON. One table (model_info_keys.h) holds the keys; the metadata form is
// the JSON form with "frf." in front and every value as a string (text as it is, all else as JSON).
#include "base/model_info.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "base/model_info_keys.h"
#include "frf/image.h"

namespace frf {
namespace {

using namespace info_keys;

constexpr const char* kPrefix = "frf.";
constexpr const char* kMetadataKey = "metadata";  // JSON form: keys of others, outside "frf."

// The palette of PASCAL VOC: class id's bits, three at a time, spread over red, green and blue from the top
// down.
std::vector<Color> DefaultPalette(int count) {
  std::vector<Color> palette(count);
  for (int id = 0; id < count; ++id) {
    for (int bit = 7, rest = id + 1; rest != 0; --bit, rest >>= 3) {
      for (int c = 0; c < 3; ++c) palette[id][c] |= static_cast<std::uint8_t>(((rest >> c) & 1) << bit);
    }
  }
  return palette;
}

void CheckClasses(const ModelInfo& info, const std::string& file, ErrorCode code) {
  std::set<std::string> seen;
  for (const std::string& name : info.classes.names) {
    if (!seen.insert(name).second)
      throw Error(code, fmt::format("{}: two classes are called '{}'", file, Printable(name)));
  }
  const auto check = [&](std::size_t seen, const char* what) {
    if (seen == 0 || seen == info.classes.names.size()) return;
    throw Error(code, fmt::format("{}: {} {} for {} classes", file, seen, what, info.classes.names.size()));
  };
  check(info.classes.palette.size(), "palette colours");
  check(info.classes.label_ids.size(), "label ids");
}

ModelInfo Prepared(const ModelInfo& info) {
  if (info.classes.names.empty() || info.classes.count() > kMaxClasses) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a model file wants 1 to {} class names, {} are given", kMaxClasses,
                            info.classes.count()));
  }
  CheckClasses(info, "model information", ErrorCode::kInvalidArgument);
  ModelInfo complete = info;
  if (complete.classes.palette.empty()) complete.classes.palette = DefaultPalette(info.classes.count());
  return complete;
}

void RequireKeys(const Json& facts, const std::string& file, const std::string& hint) {
  for (const char* key : {"classes", "input.mean", "input.std"}) {
    if (!facts.contains(key) || facts.at(key).is_null()) {
      const std::size_t dot = std::string_view(key).find('.');
      const std::string last = dot == std::string_view::npos ? "" : key + dot + 1;  // "mean" of "input.mean"
      const bool near = hint.empty() && !last.empty() && facts.contains(last);
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: has no '{}{}'{}{}", file, hint.empty() ? "" : kPrefix, key, hint,
                              near ? fmt::format("; it has '{}', which wants that name", last) : ""));
    }
  }
}

// Reads what the table knows, in the table's order (label ids need the classes first).
ModelInfo FromFacts(const Json& facts, const std::string& file, const char* prefix) {
  ModelInfo info;
  for (const Key& key : Keys()) {
    const auto found = facts.find(key.name);
    if (found != facts.end() && !found->is_null())
      key.set(info, *found, Source{file, prefix + std::string(key.name)});
  }
  if (info.classes.palette.empty()) info.classes.palette = DefaultPalette(info.classes.count());
  CheckClasses(info, file, ErrorCode::kCorruptFile);
  return info;
}

std::string DumpJson(const Json& value, const std::string& key) {
  try {
    return value.dump();
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kInvalidArgument, "model information '" + key + "' holds text that is not UTF-8");
  }
}

}  // namespace

Metadata ToMetadata(const ModelInfo& info) {
  const ModelInfo complete = Prepared(info);
  Metadata metadata;
  for (const Key& key : Keys()) {
    const Json value = key.get(complete);
    if (value.is_null()) continue;
    metadata.emplace_back(std::string(kPrefix) + key.name,
                          key.form == Form::kText ? value.get<std::string>() : DumpJson(value, key.name));
  }
  metadata.insert(metadata.end(), complete.unknown.begin(), complete.unknown.end());
  return metadata;
}

ModelInfo ModelInfoFromMetadata(const Metadata& metadata, const std::string& file) {
  Json facts = Json::object();
  std::vector<std::pair<std::string, std::string>> unknown;
  for (const auto& [name, value] : metadata) {
    if (!IsUtf8(name) || !IsUtf8(value)) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: metadata '{}' is not UTF-8", file, Printable(name)));
    }
    const Key* key = name.starts_with(kPrefix) ? FindKey(name.substr(4)) : nullptr;
    if (key == nullptr) {
      unknown.emplace_back(name, value);
      continue;
    }
    if (facts.contains(key->name)) {
      throw Error(ErrorCode::kCorruptFile, fmt::format("{}: metadata key '{}' stands twice", file, name));
    }
    facts[key->name] = key->form == Form::kText ? Json(value) : ParseJson(value, file + ": '" + name + "'");
    // The format decides whether the rest can be understood at all.
    if (std::string(key->name) == "format") {
      ModelInfo ignored;
      key->set(ignored, facts[key->name], Source{file, name});
    }
  }
  const std::string hint =
      "; what its classes and its input are is not recorded: stamp it with `frf export X.onnx --meta "
      "meta.json -o Y.onnx`";
  if (!facts.contains("format")) throw Error(ErrorCode::kUnsupported, file + ": has no 'frf.format'" + hint);
  RequireKeys(facts, file, hint);
  ModelInfo info = FromFacts(facts, file, kPrefix);
  info.unknown = std::move(unknown);
  return info;
}

Json ToJson(const ModelInfo& info) {
  const ModelInfo complete = Prepared(info);
  Json json = Json::object();
  for (const Key& key : Keys()) {
    Json value = key.get(complete);
    if (!value.is_null()) json[key.name] = std::move(value);
  }
  for (const auto& [name, value] : complete.unknown) {
    if (name.starts_with(kPrefix)) {
      json[name.substr(4)] = value;
    } else {
      json[kMetadataKey][name] = value;
    }
  }
  return json;
}

ModelInfo ModelInfoFromJson(const Json& json, const std::string& file) {
  if (!json.is_object())
    throw Error(ErrorCode::kCorruptFile, file + ": wants a JSON object with 'classes' and so on");
  RequireKeys(json, file, "");
  ModelInfo info = FromFacts(json, file, "");
  for (const auto& [name, value] : json.items()) {
    if (FindKey(name) != nullptr) continue;
    if (name == kMetadataKey) {
      for (const auto& [other, text] : JsonObject(value, Source{file, name}).items()) {
        info.unknown.emplace_back(other, JsonText(text, Source{file, other}));
      }
    } else {
      info.unknown.emplace_back(kPrefix + name,
                                value.is_string() ? value.get<std::string>() : DumpJson(value, name));
    }
  }
  return info;
}

void DescribeWeights(ModelInfo& info, const Json& meta, bool best, bool raw) {
  const bool averaged = info.weights_from != "raw";
  if (raw) info.weights_from = "raw";
  const bool scored = best && !(raw && averaged);
  const auto own = meta.find("model");
  // A mean of several runs' weights, put where a run has its own, is not that run's training alone.
  const Json::json_pointer mean("/train/mean_of");
  if (own != meta.end() && own->contains(mean)) info.train["mean_of"] = own->at(mean);
  if (scored && own == meta.end()) return;
  // A kill between best.ckpt and config.json, or a best.ckpt that was put there, leaves another's score.
  info.eval = scored ? own->value("eval", Json::array()) : Json::array();
  const auto qat = info.quant.find("qat");
  if (qat == info.quant.end()) return;
  qat->erase("eval");
  const Json::json_pointer score("/quant/qat/eval");
  if (scored && own->contains(score)) (*qat)["eval"] = own->at(score);
}

std::pair<int, int> ParseSize(const std::string& text, const std::string& what) {
  const char* const end = text.data() + text.size();
  int height = 0, width = 0;
  const auto first = std::from_chars(text.data(), end, height);
  bool good = first.ec == std::errc() && first.ptr != end && *first.ptr == 'x';
  if (good) {
    const auto second = std::from_chars(first.ptr + 1, end, width);
    good = second.ec == std::errc() && second.ptr == end;
  }
  if (!good || height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} wants HEIGHTxWIDTH, each 1 to {} (for instance 360x480), it is '{}'", what,
                            kMaxSide, Printable(text)));
  }
  return {height, width};
}

}  // namespace frf
