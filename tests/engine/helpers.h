// SPDX-License-Identifier: Apache-2.0
// Short ways to write a node, run it, and compare what comes out.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/plain.h"
#include "support/support.h"

namespace frf::test {

using Attributes = std::map<std::string, Attribute>;
using Ints = std::vector<std::int64_t>;

inline Node MakeNode(const std::string& op, int inputs, Attributes attributes = {}, int outputs = 1) {
  Node node{.name = "n", .op = op, .attributes = std::move(attributes)};
  if (const auto dot = op.find('.'); dot != std::string::npos) {
    node.domain = op.substr(0, dot);
    node.op = op.substr(dot + 1);
  }
  for (int i = 0; i < inputs; ++i) node.inputs.push_back(fmt::format("x{}", i));
  for (int i = 0; i < outputs; ++i) node.outputs.push_back(fmt::format("y{}", i));
  return node;
}

inline std::vector<Tensor> RunAll(const std::string& op, const std::vector<Tensor>& inputs,
                                  Attributes attributes = {}, int outputs = 1, int opset = 17) {
  return RunNode(MakeNode(op, static_cast<int>(inputs.size()), std::move(attributes), outputs), inputs, opset,
                 {.threads = 2});
}

inline Tensor RunOne(const std::string& op, const std::vector<Tensor>& inputs, Attributes attributes = {},
                     int opset = 17) {
  return RunAll(op, inputs, std::move(attributes), 1, opset).at(0);
}

inline Tensor F(Shape shape, const std::vector<float>& values) {
  return Tensor::Of<float>(std::move(shape), values);
}
inline Tensor I(Shape shape, const Ints& values) {
  return Tensor::Of<std::int64_t>(std::move(shape), values);
}
inline Tensor List(const Ints& values) { return I({static_cast<std::int64_t>(values.size())}, values); }
inline Tensor None() { return Tensor(); }  // an optional input left out

inline Tensor RandomTensor(Shape shape, std::uint64_t seed) {
  Tensor tensor = Tensor::Uninitialized(DType::kFloat32, std::move(shape));
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<float>()[i] = static_cast<float>(random.Uniform(-1, 1));
  return tensor;
}

inline void ExpectTensor(const Tensor& seen, const Tensor& wanted, double tolerance = 0) {
  ASSERT_EQ(seen.dtype(), wanted.dtype());
  ASSERT_EQ(ToString(seen.shape()), ToString(wanted.shape()));
  const std::vector<double> a = seen.ToVector<double>(), b = wanted.ToVector<double>();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    ASSERT_NEAR(a[i], b[i], tolerance) << "element " << i;
  }
}

// Share of pixels whose largest score (of planes) is the same channel's.
inline double LabelsEqual(const std::vector<float>& a, const std::vector<float>& b, int classes) {
  const std::size_t pixels = a.size() / classes;
  std::size_t equal = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    const auto best = [&](const std::vector<float>& scores) {
      int label = 0;
      for (int c = 1; c < classes; ++c)
        label = scores[c * pixels + i] > scores[label * pixels + i] ? c : label;
      return label;
    };
    equal += best(a) == best(b);
  }
  return static_cast<double>(equal) / static_cast<double>(pixels);
}

}  // namespace frf::test
