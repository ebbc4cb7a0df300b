// SPDX-License-Identifier: Apache-2.0
// Which output of a network is read where a file has several (auxiliary heads, features, scores beside
// labels). One rule for the reader of files, the engine and the plain executor, so that all of them speak of
// the same.
#pragma once

#include "graph/graph.h"

namespace frf {

// The output named `scores` or `labels`, whichever comes first; without one the first. Those of role
// auxiliary do not count. Throws kInvalidArgument where none is left.
const GraphOutput& MainOutput(const Graph& graph);

// ForInference() of what the main output needs: the other outputs go, and with them what only they read.
Graph WithMainOutputOnly(const Graph& graph);

}  // namespace frf
