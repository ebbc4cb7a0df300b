// SPDX-License-Identifier: Apache-2.0
// Writes a Graph layer by layer; networks are functions of a Builder. Names nest by scope:
//
//   Builder g("frfnet");
//   Value x = g.Input("image", 3);
//   {
//     auto scope = g.Scope("stem");
//     x = g.Conv(x, {.name = "conv1", .out = 32, .kernel = 3, .stride = 2});   // "stem.conv1.weight"
//     x = g.Relu(g.BatchNorm(x, "conv1.bn"));                                  // "stem.conv1.bn.weight", ...
//   }
//   g.Output(scores, "scores", OutputRole::kScores);
//   Graph graph = std::move(g).Build();   // validated
//
// Subtle: a Value knows its channel count (dimension 1), never its size; errors name the scope and layer at
// once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace frf {

struct Value {
  std::string name;
  int channels = 0;
};

struct ConvSpec {
  std::string name = "conv";
  int out = 0;
  int kernel = 1;    // square, unless kernel_w is set
  int kernel_w = 0;  // 0: as kernel
  int stride = 1;
  int dilation = 1;
  int dilation_w = 0;  // 0: as dilation
  int groups = 1;
  int pad = -1;  // -1: "same" for odd kernels, dilation * (kernel - 1) / 2 on every side (pads = [p,p,p,p])
  bool bias = false;
  bool classifier = false;  // redrawn by --init when the number of classes differs
};

struct PoolSpec {
  int kernel = 2;
  int stride = 2;
  int pad = 0;
  bool ceil_mode = false;
  bool count_include_pad = false;  // average only
};

class Builder {
 public:
  explicit Builder(std::string name);

  // While alive, names get "scope." in front.
  class ScopeGuard {
   public:
    explicit ScopeGuard(Builder& builder, const std::string& name);
    ~ScopeGuard();
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    Builder& builder_;
    std::size_t restore_;
  };
  [[nodiscard]] ScopeGuard Scope(const std::string& name) { return ScopeGuard(*this, name); }

  Value Input(const std::string& name,
              int channels);  // float32 1 x channels x height x width, sizes and batch free
  void Output(const Value& value, const std::string& name, OutputRole role);

  Value Conv(const Value& x, const ConvSpec& spec);
  // Transposed; pad as given (default 0 when -1), output_padding on both axes.
  Value ConvTranspose(const Value& x, const ConvSpec& spec, int output_padding);
  Value BatchNorm(const Value& x, const std::string& name,
                  float epsilon = 1e-5f);  // momentum 0.9 (torch's 0.1)
  Value Relu(const Value& x);
  Value PRelu(const Value& x, const std::string& name);  // slope [C,1,1]
  Value Sigmoid(const Value& x);
  Value Softmax(const Value& x, int axis);
  Value Add(const Value& a, const Value& b);  // broadcasts as numpy
  Value Sub(const Value& a, const Value& b);
  Value Mul(const Value& a, const Value& b);
  Value MatMul(const Value& a, const Value& b, int channels);
  Value Scalar(float value);                              // constant initialiser
  Value Constant(const std::string& name, Tensor value);  // constant initialiser of that name
  Value Parameter(const std::string& name, Shape shape, Init init, int channels);
  Value Ceil(const Value& x);
  Value Clip(const Value& x, float low, float high);
  Value Neg(const Value& x);
  Value Concat(const std::vector<Value>& parts);                               // along channels
  std::vector<Value> Split(const Value& x, const std::vector<int>& channels);  // along channels
  Value MaxPool(const Value& x, const PoolSpec& spec);
  std::pair<Value, Value> MaxPoolWithIndices(const Value& x, const PoolSpec& spec);
  Value AveragePool(const Value& x, const PoolSpec& spec);
  Value GlobalAveragePool(const Value& x);
  Value Reshape(const Value& x, const std::vector<std::int64_t>& shape, int channels);  // 0 copies, -1 infers
  Value ReshapeLike(const Value& x, const Value& ref);  // shape of `ref` (Shape + Reshape)
  Value Transpose(const Value& x, const std::vector<std::int64_t>& permutation, int channels);
  Value ReduceMax(const Value& x, int axis);  // keeps the axis
  Value AdaptiveAveragePool(const Value& x, int height, int width);
  Value ResizeLike(const Value& x, const Value& ref, const std::string& mode = "linear",
                   const std::string& coordinates = "half_pixel");
  Value Unpool(const Value& x, const Value& indices, const Value& ref);
  Value SpectralPool(const Value& x, const std::vector<std::int64_t>& frequencies,
                     const std::vector<std::int64_t>& channels, float scale);
  Value DropChannels(const Value& x, float p);

  // Convolution with a weight (and bias, unless its name is empty) that exists already: layers that share
  // weights.
  Value ConvShared(const Value& x, const Value& weight, const Value& bias, const ConvSpec& spec);
  Value Elu(const Value& x, float alpha = 1.0f);
  Value LeakyRelu(const Value& x, float slope);
  Value HardSigmoid(const Value& x);                  // clip(x / 6 + 1 / 2, 0, 1), as torch
  Value HardSwish(const Value& x);                    // x * HardSigmoid(x)
  Value PadChannels(const Value& x, int extra);       // zeros behind the last channel
  Value ShuffleChannels(const Value& x, int groups);  // ShuffleNet's: group-major becomes channel-major
  Value CropLike(const Value& x, const Value& ref, int top, int left);  // the size of `ref`, from (top, left)
  // The size times `factor`, for pyramids that no value has the size of. Everything else uses ResizeLike.
  Value ResizeBy(const Value& x, float factor, const std::string& mode = "linear",
                 const std::string& coordinates = "half_pixel");

  // Anything else, with its attributes; one output of `channels`.
  Value Op(const std::string& op, const std::vector<Value>& inputs, int channels,
           std::map<std::string, Attribute> attributes = {}, const std::string& domain = "");

  // Gives the value that was made last (and its node) a name of its own, so that it can be found:
  // "decoder.ffm.t1".
  Value Named(const Value& value, const std::string& name);

  Graph Build() &&;

 private:
  std::string Qualified(const std::string& name) const { return prefix_ + name; }
  std::string FreshName(const std::string& stem);  // "stage1.relu", "stage1.relu_2", ...
  Value Emit(const std::string& node_name, const std::string& op, const std::vector<Value>& inputs,
             int channels, std::map<std::string, Attribute> attributes, const std::string& domain);
  void CheckConv(const Value& x, const ConvSpec& spec) const;
  Value Binary(const std::string& op, const Value& a, const Value& b);
  Value AddInts(const std::string& name, const std::vector<std::int64_t>& values);  // constant int64 list
  Value AddInitializer(const std::string& name, Role role, Init init, Tensor value, int channels,
                       bool classifier);
  [[noreturn]] void Fail(const std::string& message) const;

  Graph graph_;
  std::string prefix_;
  std::unordered_map<std::string, int> used_;
};

}  // namespace frf
