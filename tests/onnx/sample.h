// SPDX-License-Identifier: Apache-2.0
// Networks and images for the tests of this room, and comparison of tensors.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "base/random.h"
#include "engine/plain.h"
#include "graph/builder.h"
#include "graph/graph.h"
#include "nets/nets.h"
#include "onnx/onnx_file.h"

namespace frf::test {

inline Tensor RandomTensor(const Shape& shape, std::uint64_t seed, float low = -2.0f, float high = 2.0f) {
  Tensor tensor = Tensor::Uninitialized(DType::kFloat32, shape);
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.Uniform(low, high));
  }
  return tensor;
}

// Every initialiser without values gets some that leave nothing idle: attention's gammas start at 0 and batch
// norm's scales at 1, which would hide mistakes.
inline void FillWeights(Graph& graph, std::uint64_t seed) {
  InitializeWeights(graph, seed);
  for (Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant || initializer.value.rank() != 1) continue;
    const bool positive = initializer.init == Init::kOnes;
    initializer.value =
        RandomTensor(initializer.value.shape(), ++seed, positive ? 0.5f : -0.3f, positive ? 1.5f : 0.3f);
  }
}

inline Graph Net(const std::string& name, const Json& options = Json::object(), std::uint64_t seed = 1) {
  Json complete = options;
  if (!complete.contains("classes")) complete["classes"] = 5;
  Graph graph = BuildNet(name, complete);
  FillWeights(graph, seed);
  return graph;
}

inline ModelInfo InfoFor(int classes) {
  ModelInfo info;
  info.net = "test";
  for (int i = 0; i < classes; ++i) info.classes.names.push_back("class" + std::to_string(i));
  info.input.height = 64;
  info.input.width = 96;
  return info;
}

// Equal in type, shape and every bit.
inline ::testing::AssertionResult SameBits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) {
    return ::testing::AssertionFailure() << Name(a.dtype()) << " " << ToString(a.shape()) << " and "
                                         << Name(b.dtype()) << " " << ToString(b.shape());
  }
  if (std::memcmp(a.raw(), b.raw(), a.bytes()) == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "the values differ";
}

// Largest difference over the largest magnitude of `wanted`.
inline double RelativeDifference(const Tensor& seen, const Tensor& wanted) {
  if (seen.shape() != wanted.shape()) return INFINITY;
  double largest = 0, difference = 0;
  for (std::int64_t i = 0; i < wanted.size(); ++i) {
    largest = std::max<double>(largest, std::abs(wanted.data<float>()[i]));
    const double d = std::abs(double{seen.data<float>()[i]} - wanted.data<float>()[i]);
    if (!(d <= difference)) difference = d;  // NaN stays
  }
  return difference / largest;
}

inline Tensor RunScores(const Graph& graph, const Tensor& image, const TensorMap& more = {}) {
  PlainExecutor executor(graph, {.threads = 1});
  TensorMap feeds = more;
  feeds["image"] = image;
  return executor.Run(feeds).begin()->second;
}

}  // namespace frf::test
