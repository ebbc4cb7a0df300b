// SPDX-License-Identifier: Apache-2.0
#include "graph/image_size.h"

#include <fmt/format.h>

#include <algorithm>

namespace frf {

SizePair FixedSides(const Graph& graph) {
  if (graph.inputs.empty() || graph.inputs[0].shape.size() != 4) return {0, 0};
  const Shape& shape = graph.inputs[0].shape;
  const auto side = [&](std::size_t axis) {
    return static_cast<int>(std::max<std::int64_t>(0, shape[axis]));
  };
  return {side(2), side(3)};
}

bool ChannelsComeLast(const GraphInput& input) {
  const Shape& shape = input.shape;
  return shape.size() == 4 && shape[1] != 3 && (shape[3] == 3 || shape[3] == 1);
}

SizePair WithFixedSides(SizePair wanted, SizePair fixed) {
  return {fixed.first > 0 ? fixed.first : wanted.first, fixed.second > 0 ? fixed.second : wanted.second};
}

std::string FixedSidesText(SizePair fixed) {
  const auto side = [](int length) { return length > 0 ? fmt::format("{}", length) : std::string("?"); };
  return side(fixed.first) + "x" + side(fixed.second);
}

}  // namespace frf
