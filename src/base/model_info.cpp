// SPDX-License-Identifier: Apache-2.0
// ModelInfo <-> metadata strings <-> JSON. One table (`kKeys`) holds the keys, their order and how each is
// read; the metadata form is the JSON form with "frf." in front and every value as a string (text as it is,
// all else as JSON). Subtle: floats are written in their shortest form ("123.675", not the double behind it),
// so that reading a file and writing it again gives the same bytes.
#include "base/model_info.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <tuple>

#include "base/text.h"
#include "frf/error.h"
#include "frf/image.h"

namespace frf {
namespace {

constexpr int kFormat = 1;
constexpr const char* kPrefix = "frf.";
constexpr const char* kMetadataKey = "metadata";  // JSON form: keys of others, outside "frf."
constexpr int kMaxJsonDepth = 64;

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

double ShortestDouble(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

std::string Shown(const Json& value) {
  return Printable(value.dump(-1, ' ', true, Json::error_handler_t::replace), 60);
}

std::string Text(const Json& value, const Source& at) {
  if (!value.is_string()) at.Fail("wants text, it is " + Shown(value));
  return value.get<std::string>();
}

std::string OneOf(const Json& value, const Source& at, const std::vector<std::string>& choices) {
  const std::string text = Text(value, at);
  for (const std::string& choice : choices) {
    if (text == choice) return text;
  }
  at.Fail(fmt::format("is '{}', one of {} is wanted", Printable(text), fmt::join(choices, ", ")));
}

std::int64_t Integer(const Json& value, const Source& at, std::int64_t low, std::int64_t high) {
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high)
                    : value.is_number_integer() ? value.get<std::int64_t>() <= high
                                                : false;
  if (!fits || value.get<std::int64_t>() < low) {
    at.Fail(fmt::format("wants a whole number of {} to {}, it is {}", low, high, Shown(value)));
  }
  return value.get<std::int64_t>();
}

const Json& Array(const Json& value, const Source& at) {
  if (!value.is_array()) at.Fail("wants a JSON list, it is " + Shown(value));
  return value;
}

const Json& Object(const Json& value, const Source& at) {
  if (!value.is_object()) at.Fail("wants a JSON object, it is " + Shown(value));
  return value;
}

std::array<float, 3> Triple(const Json& value, const Source& at, float above) {
  if (Array(value, at).size() != 3) at.Fail(fmt::format("wants 3 numbers, it has {}", value.size()));
  std::array<float, 3> result{};
  for (int i = 0; i < 3; ++i) {
    if (!value[i].is_number()) at.Fail("wants 3 numbers, one is " + Shown(value[i]));
    result[i] = static_cast<float>(value[i].get<double>());
    if (!std::isfinite(result[i]) || !(result[i] > above)) at.Fail("is out of range: " + Shown(value[i]));
  }
  return result;
}

Json FromTriple(const std::array<float, 3>& values) {
  Json list = Json::array();
  for (const float value : values) list.push_back(ShortestDouble(value));
  return list;
}

Json TextOrNothing(const std::string& text) { return text.empty() ? Json() : Json(text); }

void SetClasses(ModelInfo& info, const Json& value, const Source& at) {
  if (Array(value, at).empty() || value.size() > static_cast<std::size_t>(kMaxClasses)) {
    at.Fail(fmt::format("wants 1 to {} names, it has {}", kMaxClasses, value.size()));
  }
  info.classes.names.clear();
  for (const Json& name : value) info.classes.names.push_back(Text(name, at));
}

void SetPalette(ModelInfo& info, const Json& value, const Source& at) {
  info.classes.palette.clear();
  for (const Json& color : Array(value, at)) {
    if (Array(color, at).size() != 3) at.Fail("wants [r,g,b] for each class, one is " + Shown(color));
    Color rgb{};
    for (int i = 0; i < 3; ++i) rgb[i] = static_cast<std::uint8_t>(Integer(color[i], at, 0, 255));
    info.classes.palette.push_back(rgb);
  }
}

Json GetPalette(const ModelInfo& info) {
  Json list = Json::array();
  for (const Color& color : info.classes.palette) list.push_back({color[0], color[1], color[2]});
  return list;
}

// {"0": 7, "1": 8, ...}: class id -> id in label files; ids that are not named stay as they are. A list is
// taken too.
void SetLabelIds(ModelInfo& info, const Json& value, const Source& at) {
  const int count = info.classes.count();
  std::vector<int> ids(count);
  for (int i = 0; i < count; ++i) ids[i] = i;
  if (value.is_array()) {
    if (static_cast<int>(value.size()) != count) {
      at.Fail(fmt::format("has {} ids for {} classes", value.size(), count));
    }
    for (int i = 0; i < count; ++i) ids[i] = static_cast<int>(Integer(value[i], at, 0, 65535));
  } else {
    for (const auto& [key, id] : Object(value, at).items()) {
      int index = -1;
      const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (code != std::errc() || end != key.data() + key.size() || index < 0 || index >= count) {
        at.Fail(fmt::format("names class '{}', there are {} classes", Printable(key), count));
      }
      ids[index] = static_cast<int>(Integer(id, at, 0, 65535));
    }
  }
  info.classes.label_ids = std::move(ids);
}

Json GetLabelIds(const ModelInfo& info) {
  if (info.classes.label_ids.empty()) return Json();
  Json map = Json::object();
  for (std::size_t i = 0; i < info.classes.label_ids.size(); ++i) {
    map[std::to_string(i)] = info.classes.label_ids[i];
  }
  return map;
}

void SetFormat(ModelInfo&, const Json& value, const Source& at) {
  const std::int64_t format = Integer(value, at, 1, INT32_MAX);
  if (format > kFormat) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: 'frf.format' is {}, this program reads up to {}; a newer frf "
                            "wrote it: update this one",
                            at.file, format, kFormat));
  }
}

void CheckConstant(const Json& value, const Source& at, const char* wanted) {
  if (Text(value, at) == wanted) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: '{}' is '{}', only {} is read; put the conversion into the graph", at.file,
                          at.key, Printable(value.get<std::string>()), wanted));
}

std::vector<Key> MakeClassKeys() {
  using M = ModelInfo;
  return {
      {"format", Form::kJson, [](const M&) { return Json(kFormat); }, SetFormat},
      {"net", Form::kText, [](const M& m) { return TextOrNothing(m.net); },
       [](M& m, const Json& v, const Source& at) { m.net = Text(v, at); }},
      {"net.options", Form::kJson,
       [](const M& m) { return m.net.empty() && m.net_options.empty() ? Json() : m.net_options; },
       [](M& m, const Json& v, const Source& at) { m.net_options = Object(v, at); }},
      {"classes", Form::kJson, [](const M& m) { return Json(m.classes.names); }, SetClasses},
      {"palette", Form::kJson, GetPalette, SetPalette},
      {"void", Form::kJson, [](const M&) { return Json(kVoidLabel); },
       [](M&, const Json& v, const Source& at) { Integer(v, at, kVoidLabel, kVoidLabel); }},
      {"label_ids", Form::kJson, GetLabelIds, SetLabelIds},
  };
}

std::vector<Key> MakeInputKeys() {
  using M = ModelInfo;
  return {
      {"input.color", Form::kText, [](const M&) { return Json("RGB"); },
       [](M&, const Json& v, const Source& at) { CheckConstant(v, at, "RGB"); }},
      {"input.layout", Form::kText, [](const M&) { return Json("NCHW"); },
       [](M&, const Json& v, const Source& at) { CheckConstant(v, at, "NCHW"); }},
      {"input.mean", Form::kJson, [](const M& m) { return FromTriple(m.input.mean); },
       [](M& m, const Json& v, const Source& at) { m.input.mean = Triple(v, at, -1e30f); }},
      {"input.std", Form::kJson, [](const M& m) { return FromTriple(m.input.std); },
       [](M& m, const Json& v, const Source& at) { m.input.std = Triple(v, at, 0.0f); }},
      {"input.size", Form::kText,
       [](const M& m) {
         return m.input.height == 0 ? Json() : Json(fmt::format("{}x{}", m.input.height, m.input.width));
       },
       [](M& m, const Json& v, const Source& at) {
         const std::string text = Text(v, at);
         try {
           std::tie(m.input.height, m.input.width) = ParseSize(text, "");
         } catch (const Error&) {
           at.Fail("wants HEIGHTxWIDTH, it is '" + Printable(text) + "'");
         }
       }},
      {"input.fit", Form::kText,
       [](const M& m) { return Json(m.input.fit == Fit::kResize ? "resize" : "native"); },
       [](M& m, const Json& v, const Source& at) {
         m.input.fit = OneOf(v, at, {"resize", "native"}) == "resize" ? Fit::kResize : Fit::kNative;
       }},
      {"input.multiple", Form::kJson, [](const M& m) { return Json(m.input.multiple); },
       [](M& m, const Json& v, const Source& at) {
         m.input.multiple = static_cast<int>(Integer(v, at, 1, 1024));
       }},
  };
}

std::vector<Key> MakeProvenanceKeys() {
  using M = ModelInfo;
  return {
      {"output", Form::kText, [](const M& m) { return Json(m.output); },
       [](M& m, const Json& v, const Source& at) {
         m.output = OneOf(v, at, {"scores", "labels"});
       }},
      {"weights", Form::kText, [](const M& m) { return Json(m.weights); },
       [](M& m, const Json& v, const Source& at) {
         m.weights = OneOf(v, at, {"f32", "f16", "int8"});
       }},
      {"weights.from", Form::kText, [](const M& m) { return TextOrNothing(m.weights_from); },
       [](M& m, const Json& v, const Source& at) {
         m.weights_from = OneOf(v, at, {"ema", "raw"});
       }},
      {"quant", Form::kJson, [](const M& m) { return m.quant; },
       [](M& m, const Json& v, const Source& at) { m.quant = Object(v, at); }},
      {"train", Form::kJson, [](const M& m) { return m.train; },
       [](M& m, const Json& v, const Source& at) { m.train = Object(v, at); }},
      {"eval", Form::kJson, [](const M& m) { return m.eval.empty() ? Json() : m.eval; },
       [](M& m, const Json& v, const Source& at) {
         for (const Json& entry : Array(v, at)) Object(entry, at);
         m.eval = v;
       }},
      {"license", Form::kText, [](const M& m) { return TextOrNothing(m.license); },
       [](M& m, const Json& v, const Source& at) { m.license = Text(v, at); }},
      {"source", Form::kText, [](const M& m) { return TextOrNothing(m.source); },
       [](M& m, const Json& v, const Source& at) { m.source = Text(v, at); }},
  };
}

const std::vector<Key>& Keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all = MakeClassKeys();
    for (Key& key : MakeInputKeys()) all.push_back(std::move(key));
    for (Key& key : MakeProvenanceKeys()) all.push_back(std::move(key));
    return all;
  }();
  return keys;
}

const Key* FindKey(const std::string& name) {
  for (const Key& key : Keys()) {
    if (name == key.name) return &key;
  }
  return nullptr;
}

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

void CheckClassCounts(const ModelInfo& info, const std::string& file, ErrorCode code) {
  const auto check = [&](std::size_t seen, const char* what) {
    if (seen == 0 || seen == info.classes.names.size()) return;
    throw Error(code, fmt::format("{}: {} {} for {} classes", file, seen, what, info.classes.names.size()));
  };
  check(info.classes.palette.size(), "palette colours");
  check(info.classes.label_ids.size(), "label ids");
}

// nlohmann's dump() recurses: hostile nesting must not reach it.
Json ParseShallowJson(const std::string& text, const std::string& what) {
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
  return ParseJson(text, what);
}

ModelInfo Prepared(const ModelInfo& info) {
  if (info.classes.names.empty() || info.classes.count() > kMaxClasses) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a model file wants 1 to {} class names, {} are given", kMaxClasses,
                            info.classes.count()));
  }
  CheckClassCounts(info, "model information", ErrorCode::kInvalidArgument);
  ModelInfo complete = info;
  if (complete.classes.palette.empty()) complete.classes.palette = DefaultPalette(info.classes.count());
  return complete;
}

void RequireKeys(const Json& facts, const std::string& file, const std::string& hint) {
  for (const char* key : {"classes", "input.mean", "input.std"}) {
    if (!facts.contains(key)) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: has no '{}{}'{}", file, hint.empty() ? "" : kPrefix, key, hint));
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
  CheckClassCounts(info, file, ErrorCode::kCorruptFile);
  return info;
}

bool IsUtf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
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
    facts[key->name] =
        key->form == Form::kText ? Json(value) : ParseShallowJson(value, file + ": '" + name + "'");
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
      for (const auto& [other, text] : Object(value, Source{file, name}).items()) {
        info.unknown.emplace_back(other, Text(text, Source{file, other}));
      }
    } else {
      info.unknown.emplace_back(kPrefix + name,
                                value.is_string() ? value.get<std::string>() : DumpJson(value, name));
    }
  }
  return info;
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
  if (!good || height < 1 || width < 1 || height > 65535 || width > 65535) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} wants HEIGHTxWIDTH, each 1 to 65535 (for instance 360x480), it is '{}'", what,
                            Printable(text)));
  }
  return {height, width};
}

}  // namespace frf
