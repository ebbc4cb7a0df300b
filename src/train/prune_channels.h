// SPDX-License-Identifier: Apache-2.0
// Which channels of a trained network a narrower or shallower one of the same family keeps: for every
// convolution that both have by name, channels of its result and of what it reads.
//
//   for (const PrunedConv& conv : ChoosePrunedChannels(trained, narrow)) ...     // in narrow's order
//
// Maps that are added or multiplied share their channels, so their convolutions keep the same ones: those
// that the trained network's later convolutions weigh most, times the factor that batch norm gives them
// (after Li et al. 2017 and Liu et al. 2017, who rank by weights and by that factor).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace frf {

struct PrunedConv {
  std::string name;                   // of the node, in both graphs
  std::vector<std::int64_t> outputs;  // ascending: the trained network's channels that are kept
  std::vector<std::int64_t> inputs;   // by channel that the narrow one reads: the trained one's position, or
                                      // -1 where it reads no such map
};

// Both graphs with weights, `trained` for inference. Convolutions of one group that both have with equal
// kernels, strides and padding, the trained one with at least as many channels; others are left out.
std::vector<PrunedConv> ChoosePrunedChannels(const Graph& trained, const Graph& narrow);

// The batch norm that reads a convolution's result, or null.
const Node* BatchNormBehind(const Graph& graph, const GraphIndex& index, const Node& conv);

}  // namespace frf
