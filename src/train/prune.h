// SPDX-License-Identifier: Apache-2.0
// A narrower or shallower network of a family from a trained one, without training: each convolution, in
// order, is fitted by least squares so that on pictures it makes of the narrow network's own maps what the
// trained network's convolution of that name makes of its maps (as He et al. 2017, "Channel Pruning for
// Accelerating Very Deep Neural Networks", section 3.2, but for every layer in order, and layers left out).
//
//   const PruneReport report = Prune(trained, trained_input, graph, input, *data, {.seed = 1});
//   // graph: drawn weights before, fitted ones now; train it on from there
//
// Subtle: what a kept channel lacks of the maps that are gone is made up for by those that stay, so most of
// the score survives where plain cutting leaves none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/model_info.h"
#include "data/dataset.h"
#include "graph/graph.h"

namespace frf {

struct PruneOptions {
  int images = 160;        // of the data, evenly spread; all where there are fewer
  int positions = 65536;   // of all images together, for each convolution
  double ridge = 1e-3;     // pull towards the cut weights, as a share of the inputs' mean square
  std::uint64_t seed = 0;  // of the positions
  bool classifier = true;  // false: other classes, it stays as drawn
  bool progress = true;
};

struct PrunedLayer {
  std::string name;
  std::int64_t kept = 0, of = 0;  // channels
  double unexplained = 0;         // share of the variance on these pictures
};

struct PruneReport {
  std::vector<PrunedLayer> fitted;
  std::vector<std::string> drawn;  // parameters that stay as they were: no layer of the trained network fits
  int images = 0;
};

// `trained` for inference, with weights; both see the pictures at the size that `input` says, each normalised
// as its own. Overwrites `narrow`'s parameters and states. Throws kUsage where no convolution fits,
// or `trained` has fewer channels in one.
PruneReport Prune(const Graph& trained, const InputSpec& trained_input, Graph& narrow, const InputSpec& input,
                  const Dataset& data, const PruneOptions& options);

}  // namespace frf
