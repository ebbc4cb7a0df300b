// SPDX-License-Identifier: Apache-2.0
// Whether a network's gates and masks do anything: how far they move over a set of images, and what mean IoU
// becomes when a module's are frozen at their means. A module that can be frozen at no loss idles.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/quantize_score.h"

namespace frf::cli {

// Sigmoids that multiply a map ("gate"), and thresholds that fire or do not ("mask": Clip of Ceil, FRFNet's
// t1 and t2).
struct GateReport {
  std::string value;            // its name in the graph
  std::string kind;             // "gate", "mask"
  bool spatial = false;         // differs from pixel to pixel
  double mean = 0;              // of a mask: how often it fires
  double between_channels = 0;  // standard deviation of the channels' means
  double between_images = 0;    // of an image's mean, for one channel; mean over channels
  double between_pixels = 0;    // within an image and channel, likewise
  double saturated = 0;         // share below 0.05 or above 0.95, where a sigmoid hardly moves
};

struct ModuleReport {
  std::string name;  // scope in the graph, "decoder.ffm"
  std::vector<GateReport> gates;
  std::optional<Drop> frozen;  // points lost with all of them at their means by channel
  bool has_masks = false;
  std::optional<Drop> off;  // and, where there are masks, with those at 0
};

struct ModulesReport {
  std::optional<double> miou;  // of the network as it is; nullopt: no pixel is labelled
  std::vector<ModuleReport> modules;
};

// On the engine (frozen) and the plain executor (statistics). Throws kInvalidArgument where the graph has
// neither gates nor masks.
ModulesReport MeasureModules(const Model& model, const SegmenterOptions& options, const ScoredImages& images);

std::string FormatModules(const ModulesReport& report);
Json ToJson(const ModulesReport& report);

}  // namespace frf::cli
