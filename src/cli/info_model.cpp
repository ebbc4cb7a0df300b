// SPDX-License-Identifier: Apache-2.0
// See info_model.h. Subtle: values of `train` and `quant` are printed as they stand, under their own names:
// files of later versions may hold more of them.
#include "cli/info_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "base/text.h"

namespace frf::cli {
namespace {

// A file may hold anything; what is in any language's letters and short is shown as it is.
std::string Shown(const std::string& text) {
  return IsUtf8(text) && text.size() <= 80 ? PrintableName(text) : Printable(text);
}

void Line(const char* what, const std::string& text) {
  if (!text.empty()) fmt::print("{:<10} {}\n", what, Shown(text));
}

std::string Facts(const Json& object);

std::string Text(const Json& value) {
  if (value.is_object()) return "(" + Facts(value) + ")";
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// "data camvid, epochs 118, scoring (images 80, drop 0.1033)"
std::string Facts(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items())
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, Text(value));
  return text;
}

void PrintClasses(const Classes& classes) {
  const bool mapped = !classes.label_ids.empty();
  fmt::print("\n{:>5}{}  {:<8} {}\n", "class", mapped ? "  label id" : "", "colour", "name");
  for (int id = 0; id < classes.count(); ++id) {
    const Color& color = classes.palette[id];
    fmt::print("{:>5}{}  #{:02x}{:02x}{:02x}  {}\n", id,
               mapped ? fmt::format("{:>10}", classes.label_ids[id]) : "", color[0], color[1], color[2],
               Shown(classes.names[id]));
  }
}

std::string SizeText(const InputSpec& input, SizePair fixed) {
  std::string text = input.height > 0 ? fmt::format("trained at {}x{}; ", input.height, input.width) : "";
  if (fixed.first > 0 || fixed.second > 0)
    text += fmt::format("fixed at {}: images are resized", FixedSidesText(fixed));
  else if (input.fit == Fit::kResize && input.height > 0)
    text += "images of another size are resized to it (frf.input.fit resize)";
  else
    text += "images keep their size (frf.input.fit native)";
  if (input.multiple > 1) text += fmt::format("; padded to multiples of {}", input.multiple);
  return text;
}

// "camvid, test, 360x480: mean IoU 68.21 %, pixel accuracy 91.30 %"
std::string ScoreText(const Json& entry) {
  std::string text;
  for (const char* key : {"data", "split", "list", "size", "images"}) {
    const auto found = entry.find(key);
    if (found == entry.end() || found->is_null()) continue;
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", Text(*found),
                        std::string(key) == "images" ? " images" : "");
  }
  const auto share = [&](const char* key, const char* name) {
    const auto found = entry.find(key);
    return found != entry.end() && found->is_number()
               ? fmt::format(", {} {:.2f} %", name, 100 * found->get<double>())
               : "";
  };
  return text + share("miou", "mean IoU") + share("pixel_accuracy", "pixel accuracy");
}

}  // namespace

void PrintModel(const ModelInfo& info, SizePair fixed) {
  PrintClasses(info.classes);
  fmt::print("\n");
  Line("input", fmt::format("RGB, (pixel - mean) / std; mean {}, std {}", fmt::join(info.input.mean, " "),
                            fmt::join(info.input.std, " ")));
  Line("size", SizeText(info.input, fixed));
  Line("output", info.output);
  Line("weights", info.weights + (info.weights_from.empty() ? "" : ", " + info.weights_from));
  Line("network", info.net);
  Line("trained", Facts(info.train));
  Line("quantised", Facts(info.quant));
  for (const Json& entry : info.eval) Line("scores", ScoreText(entry));
  Line("licence", info.license);
  Line("source", info.source);
}

}  // namespace frf::cli
