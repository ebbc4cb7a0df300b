// SPDX-License-Identifier: Apache-2.0
// Attribute checks behind Graph::Validate.
#pragma once

#include <string>

#include "graph/graph.h"

namespace frf {

// Throws kCorruptFile (out of range, missing, of the wrong type) or kUnsupported (well-formed but unknown to
// frf), the message starts with `graph_name` and names the node.
void CheckAttributes(const Node& node, const std::string& graph_name);

}  // namespace frf
