// SPDX-License-Identifier: Apache-2.0
// Compiles a graph for the channel-blocked kernels of blocked.h. Layouts are decided once, from channel
// counts: a value may exist plain, blocked, or both, and a conversion is emitted where a step wants the form
// that is missing. Subtle: a pattern (batch norm + ReLU + addition, gate, thresholded fusion) is emitted at
// its last node, where all that it reads exists, and only if nobody else reads what lies within.
#include <optional>
#include <set>

#include "frf/error.h"
#include "graph/shapes.h"
#include "graph/spectral.h"
#include "train/blocked.h"
#include "train/module.h"
#include "train/ops_internal.h"
#include "train/program.h"
#include "train/program_patterns.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

class Compiler : GraphPatterns {
 public:
  Compiler(const Graph& graph, Slots& slots, bool winograd)
      : GraphPatterns(graph),
        slots_(slots),
        winograd_(winograd),
        differentiable_(DifferentiableNodes(graph)) {}

  std::vector<ProgramStep> Run() {
    try {
      types_ = InferShapes(graph_, 96, 128);
    } catch (const Error&) {
      return {};  // a graph that wants another size: the plain program serves it
    }
    for (const GraphOutput& output : graph_.outputs) outputs_.insert(output.name);
    for (const GraphInput& input : graph_.inputs) plain_.insert(input.name);
    for (const Initializer& initializer : graph_.initializers) plain_.insert(initializer.name);
    FindPatterns();
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      if (const auto found = patterns_.find(i); found != patterns_.end()) {
        EmitPattern(found->second, i);
      } else if (!absorbed_.contains(i)) {
        EmitNode(graph_.nodes[i], i);
      }
    }
    return convolutions_ > 0 ? std::move(steps_) : std::vector<ProgramStep>();
  }

 private:
  // --- emission
  // ------------------------------------------------------------------------------------------------------
  // The slot of `value` in the form asked for; a conversion where it does not exist yet.
  int Take(const std::string& value, bool blocked) {
    if (value.empty()) return -1;
    std::set<std::string>& have = blocked ? blocked_ : plain_;
    if (!have.contains(value)) {
      ProgramStep step{.name = value + (blocked ? " to blocked" : " from blocked")};
      step.in = {slots_.Of(blocked ? value : BlockedName(value))};
      step.out = {slots_.Of(blocked ? BlockedName(value) : value)};
      step.run = blocked ? TorchOp([](OpCall& call) { call.out = {ToBlocked(call.in[0])}; })
                         : TorchOp([](OpCall& call) { call.out = {FromBlocked(call.in[0])}; });
      steps_.push_back(std::move(step));
      have.insert(value);
    }
    return slots_.Of(blocked ? BlockedName(value) : value);
  }
  int Give(const std::string& value, bool blocked) {
    if (value.empty()) return -1;
    (blocked ? blocked_ : plain_).insert(value);
    return slots_.Of(blocked ? BlockedName(value) : value);
  }
  void Push(const Node& node, int position, TorchOp run, std::vector<int> in, std::vector<int> out) {
    steps_.push_back({.name = node.name,
                      .run = std::move(run),
                      .in = std::move(in),
                      .out = std::move(out),
                      .differentiable = differentiable_[position],
                      .node = static_cast<std::uint64_t>(position)});
  }

  void EmitPattern(const Pattern& pattern, int last) {
    const Node& node = At(last);
    std::vector<int> in;
    for (const std::string& input : pattern.inputs) in.push_back(Take(input, true));
    TorchOp run;
    if (pattern.kind == Pattern::Kind::kGate) {
      run = [](OpCall& call) { call.out = {BlockedGate(call.in[0], call.in[1])}; };
    } else if (pattern.kind == Pattern::Kind::kMaskedSum) {
      const double threshold = pattern.threshold;
      run = [threshold](OpCall& call) { call.out = {BlockedMaskedSum(call.in[0], call.in[1], threshold)}; };
    } else {
      for (int i = 1; i < 5; ++i) in.push_back(Take(pattern.norm->inputs[i], false));
      const double momentum = TorchMomentum(*pattern.norm), epsilon = TorchEpsilon(*pattern.norm);
      const bool relu = pattern.relu;
      run = [=](OpCall& call) {
        call.out = {BlockedBatchNorm({.x = call.in[0],
                                      .gamma = call.in[2],
                                      .beta = call.in[3],
                                      .running_mean = call.in[4],
                                      .running_variance = call.in[5],
                                      .residual = call.in[1],
                                      .relu = relu,
                                      .training = call.training,
                                      .momentum = momentum,
                                      .epsilon = epsilon,
                                      .distributed = call.distributed})};
      };
    }
    Push(node, last, std::move(run), std::move(in), {Give(node.outputs[0], true)});
  }

  void EmitNode(const Node& node, int position) {
    if (node.op == "Conv" && EmitConv(node, position)) return;
    if (EmitElementwise(node, position) || EmitStructural(node, position)) return;
    std::vector<int> in, out;
    for (const std::string& input : node.inputs) {
      // A size alone is asked of these, and both forms have it at the same place.
      const bool size_only = node.op == "ResizeLike" && input == node.inputs[1] && blocked_.contains(input) &&
                             input != node.inputs[0];
      in.push_back(Take(input, size_only));
    }
    for (const std::string& output : node.outputs) out.push_back(Give(output, false));
    Push(node, position, CompileOp(node, graph_), std::move(in), std::move(out));
  }

  bool EmitConv(const Node& node, int position) {
    const std::string& x = node.inputs[0];
    const Ints pads = node.Ints("pads", {0, 0, 0, 0}), strides = node.Ints("strides", {1, 1}),
               dilations = node.Ints("dilations", {1, 1});
    const int rounded = Made(x, "FakeQuantize");
    const std::string& source = rounded < 0 ? x : At(rounded).inputs[0];  // no gradient flows to the image
    const bool image = !graph_.inputs.empty() && source == graph_.inputs[0].name && Channels(x) <= 4 &&
                       Channels(node.outputs[0]) % 16 == 0;
    const auto& size = types_.at(node.outputs[0]).shape;
    const bool tiny = size[2] * size[3] == 1;  // descriptors: not worth a kernel
    if (node.Int("group", 1) != 1 || pads.size() != 4 || pads[0] != pads[2] || pads[1] != pads[3] || tiny ||
        node.String("auto_pad", "NOTSET") != "NOTSET" || !(image || Blockable(x))) {
      return false;
    }
    auto spec = std::make_shared<BlockedConvSpec>();
    spec->stride = {strides[0], strides[1]};
    spec->pad = {pads[0], pads[1]};
    spec->dilation = {dilations[0], dilations[1]};
    spec->plain_input = image;
    spec->winograd = winograd_;
    const bool bias = node.inputs.size() > 2 && !node.inputs[2].empty();
    std::vector<int> in{Take(x, !image), Take(node.inputs[1], false)};
    if (bias) in.push_back(Take(node.inputs[2], false));
    const auto run = [spec](OpCall& call) {
      call.out = {
          BlockedConv(call.in[0], call.in[1], call.in.size() > 2 ? call.in[2] : torch::Tensor(), spec)};
    };
    Push(node, position, run, std::move(in), {Give(node.outputs[0], Channels(node.outputs[0]) % 16 == 0)});
    ++convolutions_;
    return true;
  }

  // libtorch's own operators, on blocked tensors.
  bool EmitElementwise(const Node& node, int position) {
    static const std::set<std::string> kUnary{
        "Relu",      "Sigmoid", "Tanh",     "Neg",          "Exp",          "Abs",
        "Ceil",      "Floor",   "Identity", "Dropout",      "HardSwish",    "HardSigmoid",
        "LeakyRelu", "Elu",     "Clip",     "DropChannels", "FakeQuantize", "GlobalAveragePool"};
    static const std::set<std::string> kBinary{"Add", "Sub", "Mul", "Div", "Max", "Min"};
    if (!node.outputs.empty() && !Blockable(node.outputs[0])) return false;
    std::vector<int> in;
    if (kUnary.contains(node.op)) {
      if (!blocked_.contains(node.inputs[0])) return false;
      in.push_back(Take(node.inputs[0], true));
    } else if (kBinary.contains(node.op) && node.inputs.size() == 2) {
      const bool any = blocked_.contains(node.inputs[0]) || blocked_.contains(node.inputs[1]);
      for (const std::string& input : node.inputs) {
        if (!any || !(IsScalar(input) || Channels(input) == Channels(node.outputs[0]))) return false;
      }
      for (const std::string& input : node.inputs) in.push_back(Take(input, !IsScalar(input)));
    } else {
      return false;
    }
    Push(node, position, CompileOp(node, graph_), std::move(in), {Give(node.outputs[0], true)});
    return true;
  }

  bool EmitStructural(const Node& node, int position) {
    if (node.op == "Concat") return EmitConcat(node, position);
    if (node.inputs.empty() || !blocked_.contains(node.inputs[0])) return false;
    TorchOp run;
    std::vector<int> in{Take(node.inputs[0], true)};
    if (node.op == "MaxPool" && node.outputs.size() == 1) {
      run = PoolOp(node);
    } else if (node.op == "SpectralPool") {
      run = SpectralOp(node);
    } else if (node.op == "ResizeLike" && node.String("mode", "linear") == "linear" &&
               node.String("coordinates", "half_pixel") == "half_pixel") {
      const std::string& ref = node.inputs[1];
      in.push_back(Take(ref, blocked_.contains(ref)));
      run = [](OpCall& call) {
        call.out = {BlockedResize(call.in[0], call.in[1].size(2), call.in[1].size(3))};
      };
    }
    if (!run) return false;
    Push(node, position, std::move(run), std::move(in), {Give(node.outputs[0], true)});
    return true;
  }

  bool EmitConcat(const Node& node, int position) {
    if (node.Int("axis", 1) != 1) return false;
    int blocked = 0;
    for (const std::string& input : node.inputs) {
      if (!Blockable(input)) return false;
      blocked += blocked_.contains(input) ? 1 : 0;
    }
    if (blocked == 0) return false;
    std::vector<int> in;
    for (const std::string& input : node.inputs) in.push_back(Take(input, true));
    Push(node, position, [](OpCall& call) { call.out = {at::cat(call.in, 1)}; }, std::move(in),
         {Give(node.outputs[0], true)});
    return true;
  }

  static TorchOp PoolOp(const Node& node) {
    const Ints kernel = node.Ints("kernel_shape", {}), strides = node.Ints("strides", {1, 1}),
               pads = node.Ints("pads", {0, 0, 0, 0});
    if (node.Ints("dilations", {1, 1}) != Ints{1, 1} || kernel.size() != 2 || kernel[0] * kernel[1] > 255 ||
        pads.size() != 4 || pads[0] != pads[2] || pads[1] != pads[3]) {
      return {};
    }
    const BlockedPoolSpec spec{.kernel = {kernel[0], kernel[1]},
                               .stride = {strides[0], strides[1]},
                               .pad = {pads[0], pads[1]},
                               .ceil_mode = node.Int("ceil_mode", 0) != 0};
    return [spec](OpCall& call) { call.out = {BlockedMaxPool(call.in[0], spec)}; };
  }

  static TorchOp SpectralOp(const Node& node) {
    auto table = std::make_shared<SpectralTable>(node);
    return [table](OpCall& call) {
      const torch::Tensor& x = call.in[0];
      call.out = {BlockedSpectral(x, table->Blocked(x.size(2), x.size(3)))};
    };
  }

  Slots& slots_;
  bool winograd_;
  std::vector<bool> differentiable_;
  std::set<std::string> plain_, blocked_;  // forms that exist so far
  std::vector<ProgramStep> steps_;
  int convolutions_ = 0;
};

}  // namespace

std::vector<ProgramStep> CompileBlocked(const Graph& graph, Slots& slots, bool winograd) {
  if (!BlockedConvolutionsWork() || graph.inputs.size() != 1) return {};
  return Compiler(graph, slots, winograd).Run();
}

}  // namespace frf
