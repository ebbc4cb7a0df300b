// SPDX-License-Identifier: Apache-2.0
// The registry of networks. A network is a function that builds a Graph from options.
//
//   Graph graph = BuildNet("frfnet-slim", {{"classes", 19}});      // structure; weights are without data
//   InitializeWeights(graph, /*seed=*/0);
//
// Every graph has the input "image" (float32 1x3xHxW, normalised) and the output "scores" (1 x classes x H x
// W). With {"aux", true} auxiliary heads are outputs "aux8" and "aux16" of role kAuxiliary.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "graph/graph.h"

namespace frf {

struct NetOption {
  std::string name, help;
  Json default_value;
  std::vector<Json> choices;  // empty: any value of the default's type
};

struct NetEntry {
  std::string name;     // "frfnet"
  std::string summary;  // one line
  std::string source;   // paper
  std::vector<NetOption> options;
};

const std::vector<NetEntry>& ListNets();

// Throws kNotFound for an unknown name (with the nearest ones), kUsage for an unknown option or a value out
// of its choices. `options` may hold "classes" (default 19) for every network.
Graph BuildNet(const std::string& name, const Json& options);

// The options completed with defaults, in the registry's order: what frf.net.options and config.json hold.
Json CompleteOptions(const std::string& name, const Json& options);

// "gates=relu,head=none" -> {"gates":"relu","head":"none"}, typed by the registry.
Json ParseNetOptions(const std::string& name, const std::string& text);

}  // namespace frf
