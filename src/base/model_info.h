// SPDX-License-Identifier: Apache-2.0
// The facts that travel with a model: classes, palette, pre-processing, provenance. They stand in an ONNX
// file's metadata_props as `frf.*` strings and in a run folder's config.json as JSON; this is the only code
// that knows how. Subtle: unknown `frf.*` keys are kept on rewrite, and a larger `frf.format` than ours is
// refused.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace frf {

using Color = std::array<std::uint8_t, 3>;  // RGB

struct Classes {  // index = class id
  std::vector<std::string> names;
  std::vector<Color> palette;
  std::vector<int> label_ids;  // class id -> id in label files; empty where that is the identity
  int count() const { return static_cast<int>(names.size()); }
  bool operator==(const Classes&) const = default;
};

enum class Fit { kResize, kNative };

struct InputSpec {
  std::array<float, 3> mean{123.675f, 116.28f,
                            103.53f};  // RGB, in 0..255 units: value = (pixel - mean) / std
  std::array<float, 3> std{58.395f, 57.12f, 57.375f};
  int height = 0, width = 0;  // trained at this size; 0 = not recorded
  Fit fit = Fit::kResize;     // what to do with an image of another size
  int multiple = 1;           // above 1 only for foreign networks: pad right and bottom, with the mean
};

struct ModelInfo {
  std::string net;                    // registry name, "frfnet"
  Json net_options = Json::object();  // of that network
  Classes classes;
  InputSpec input;
  std::string output = "scores";  // or "labels"
  std::string weights = "f32";    // f32, f16, int8
  std::string weights_from;       // ema, raw; empty: neither (random)
  Json quant, train;              // null where absent
  Json eval = Json::array();      // list of {data, split, size, images, miou, pixel_accuracy, iou}
  std::string license, source;
  std::vector<std::pair<std::string, std::string>> unknown;  // other metadata keys, kept in their order
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

// The `frf.*` strings in the order of the table in docs/formats.md, then the unknown ones.
Metadata ToMetadata(const ModelInfo& info);

// Parses them; `file` starts every error. Throws kUnsupported where the keys that segmenting needs (classes,
// mean, std) are absent, with the hint to stamp the file by `frf export --meta`.
ModelInfo ModelInfoFromMetadata(const Metadata& metadata, const std::string& file);

// The same facts as one JSON object (config.json, --meta files): keys without the "frf." prefix.
Json ToJson(const ModelInfo& info);
ModelInfo ModelInfoFromJson(const Json& json, const std::string& file);

// `info`, of a run's config.json, for the weights of one of its checkpoints: `meta` is the checkpoint's own,
// `best` whether it is best.ckpt, `raw` whether weights are wanted as the last step left them. A score stays
// only with the weights that were scored.
void DescribeWeights(ModelInfo& info, const Json& meta, bool best, bool raw);

// Of a picture, a network's input or a crop: as large as any image file's. Above it products of sizes and
// channels could leave 64 bits before anybody counts them.
inline constexpr int kMaxSide = 65535;

// "360x480" -> {360, 480}; HEIGHTxWIDTH, each 1..kMaxSide. `what` names the option or file in the error.
std::pair<int, int> ParseSize(const std::string& text, const std::string& what);

}  // namespace frf
