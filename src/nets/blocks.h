// SPDX-License-Identifier: Apache-2.0
// What nearly every network is made of: convolution, batch norm and ReLU under one name.
//
//   Value x = ConvBnRelu(g, image, {.name = "conv1", .out = 32, .kernel = 3, .stride = 2});
//   // checkpoint keys conv1.weight, conv1.bn.weight, conv1.bn.bias, conv1.bn.running_mean,
//   conv1.bn.running_var
#pragma once

#include "graph/builder.h"

namespace frf {

inline Value ConvBn(Builder& g, const Value& x, const ConvSpec& spec) {
  return g.BatchNorm(g.Conv(x, spec), spec.name + ".bn");
}

inline Value ConvBnRelu(Builder& g, const Value& x, const ConvSpec& spec) {
  return g.Named(g.Relu(ConvBn(g, x, spec)), spec.name + ".relu");
}

}  // namespace frf
