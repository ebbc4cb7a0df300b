// SPDX-License-Identifier: Apache-2.0
// What each key holds; see model_info_keys.h. Subtle: floats are written in their shortest form ("123.675",
// not the double behind it), so that reading a file and writing it again gives the same bytes.
#include "base/model_info_keys.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "frf/image.h"

namespace frf::info_keys {
namespace {

std::string Shown(const Json& value) {
  return Printable(value.dump(-1, ' ', true, Json::error_handler_t::replace), 60);
}

}  // namespace

std::string JsonText(const Json& value, const Source& at) {
  if (!value.is_string()) at.Fail("wants text, it is " + Shown(value));
  return value.get<std::string>();
}

const Json& JsonObject(const Json& value, const Source& at) {
  if (!value.is_object()) at.Fail("wants a JSON object, it is " + Shown(value));
  return value;
}

namespace {

constexpr int kFormat = 1;
constexpr int kMaxLabelId = 255;  // masks are 8-bit

// Not strtod: a program whose locale has a decimal comma would read 123.675 as 123.
double ShortestDouble(float value) {
  const std::string text = fmt::format("{}", value);
  double shortest = value;
  std::from_chars(text.data(), text.data() + text.size(), shortest);
  return shortest;
}

std::string OneOf(const Json& value, const Source& at, const std::vector<std::string>& choices) {
  const std::string text = JsonText(value, at);
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
  for (const Json& name : value) info.classes.names.push_back(JsonText(name, at));
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
    for (int i = 0; i < count; ++i) ids[i] = static_cast<int>(Integer(value[i], at, 0, kMaxLabelId));
  } else {
    for (const auto& [key, id] : JsonObject(value, at).items()) {
      int index = -1;
      const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (code != std::errc() || end != key.data() + key.size() || index < 0 || index >= count) {
        at.Fail(fmt::format("names class '{}', there are {} classes", Printable(key), count));
      }
      ids[index] = static_cast<int>(Integer(id, at, 0, kMaxLabelId));
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
  if (JsonText(value, at) == wanted) return;
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: '{}' is '{}', only {} is read; put the conversion into the graph", at.file,
                          at.key, Printable(value.get<std::string>()), wanted));
}

std::vector<Key> MakeClassKeys() {
  using M = ModelInfo;
  return {
      {"format", Form::kJson, [](const M&) { return Json(kFormat); }, SetFormat},
      {"net", Form::kText, [](const M& m) { return TextOrNothing(m.net); },
       [](M& m, const Json& v, const Source& at) { m.net = JsonText(v, at); }},
      {"net.options", Form::kJson,
       [](const M& m) { return m.net.empty() && m.net_options.empty() ? Json() : m.net_options; },
       [](M& m, const Json& v, const Source& at) { m.net_options = JsonObject(v, at); }},
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
         const std::string text = JsonText(v, at);
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
       [](M& m, const Json& v, const Source& at) { m.quant = JsonObject(v, at); }},
      {"train", Form::kJson, [](const M& m) { return m.train; },
       [](M& m, const Json& v, const Source& at) { m.train = JsonObject(v, at); }},
      {"eval", Form::kJson, [](const M& m) { return m.eval.empty() ? Json() : m.eval; },
       [](M& m, const Json& v, const Source& at) {
         for (const Json& entry : Array(v, at)) JsonObject(entry, at);
         m.eval = v;
       }},
      {"license", Form::kText, [](const M& m) { return TextOrNothing(m.license); },
       [](M& m, const Json& v, const Source& at) { m.license = JsonText(v, at); }},
      {"source", Form::kText, [](const M& m) { return TextOrNothing(m.source); },
       [](M& m, const Json& v, const Source& at) { m.source = JsonText(v, at); }},
  };
}

}  // namespace

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

}  // namespace frf::info_keys
