// SPDX-License-Identifier: Apache-2.0
// How a network enters the registry: its entry and its function. A new network is one file that returns
// definitions and one line in registry.cpp.
#pragma once

#include <functional>
#include <vector>

#include "nets/nets.h"

namespace frf {

struct NetDefinition {
  NetEntry entry;                                   // options without "classes", which every network has
  std::function<Graph(const Json& options)> build;  // options are complete and checked
  // Options that follow from others ("ablation" sets three); changes the completed options. May be empty.
  // `given`: what the user wrote, to refuse contradictions (kUsage).
  std::function<void(const Json& given, Json& completed)> resolve;
};

std::vector<NetDefinition> FrfNetDefinitions();

}  // namespace frf
