// SPDX-License-Identifier: Apache-2.0
// Which output of a network is read where a file has several (auxiliary heads, features, scores beside
// labels). One rule for the reader of files, the engine and the plain executor, so that all of them speak of
// the same.
#pragma once

#include <string>

#include "graph/graph.h"

namespace frf {

// The output named `scores` or `labels`, whichever comes first; without one the first. Those of role
// auxiliary do not count. Throws kInvalidArgument where none is left.
const GraphOutput& MainOutput(const Graph& graph);

// "output 'b'", of several "output 'b' (the first of 2; one named scores or labels would be read)".
std::string MainOutputText(const Graph& graph);

// Where the rule had to guess, as an auxiliary head may come first: which of several outputs is read, and how
// to choose another. Empty where one is named, or there is one.
std::string OutputAdvice(const Graph& graph);

// What becomes of a network of one channel, a sigmoid's, so that there is something to choose from.
inline constexpr const char* kTwoOfASigmoid = "; make two channels of a sigmoid's p: Concat(1 - p, p)";

// ForInference() of what the main output needs: the other outputs go, and with them what only they read.
Graph WithMainOutputOnly(const Graph& graph);

// The same of the output `name`. Throws kUsage, naming `file` and the outputs that there are, where it is
// none.
Graph WithOutputOnly(const Graph& graph, const std::string& name, const std::string& file);

}  // namespace frf
