// SPDX-License-Identifier: Apache-2.0
#include "train/prune.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/progress.h"
#include "frf/error.h"
#include "image/transform.h"
#include "train/module.h"
#include "train/prune_channels.h"

namespace frf {
namespace {

// Fewer positions than so many for each weight of a channel say too little: the cut weights stay.
constexpr std::int64_t kPositionsPerWeight = 4;

torch::Tensor Indices(const std::vector<std::int64_t>& values) {
  return torch::tensor(values, torch::kInt64);
}

// The same positions whenever an image's map of this size is looked at.
torch::Tensor Positions(std::uint64_t seed, int image, std::int64_t height, std::int64_t width,
                        std::int64_t wanted) {
  at::Generator generator =
      at::detail::createCPUGenerator(seed * 1000003 + static_cast<std::uint64_t>(image));
  return torch::randperm(height * width, generator, torch::kInt64)
      .slice(0, 0, std::min(wanted, height * width));
}

bool HasBias(const Node& conv) { return conv.inputs.size() > 2 && !conv.inputs[2].empty(); }

// What a convolution reads at `positions` of its result: positions x (channels * kernel area).
torch::Tensor Patches(const torch::Tensor& map, const Node& conv, std::int64_t kernel_h,
                      std::int64_t kernel_w, std::int64_t out_w, const torch::Tensor& positions) {
  const auto pads = conv.Ints("pads", {0, 0, 0, 0}), strides = conv.Ints("strides", {1, 1}),
             dilations = conv.Ints("dilations", {1, 1});
  const torch::Tensor padded = at::constant_pad_nd(map[0], {pads[1], pads[3], pads[0], pads[2]}, 0);
  const std::int64_t channels = padded.size(0), width = padded.size(2);
  const torch::Tensor first =
      positions.div(out_w, "floor") * strides[0] * width + positions.remainder(out_w) * strides[1];
  std::vector<std::int64_t> taps;
  for (std::int64_t y = 0; y < kernel_h; ++y) {
    for (std::int64_t x = 0; x < kernel_w; ++x) taps.push_back(y * dilations[0] * width + x * dilations[1]);
  }
  const torch::Tensor all = (first.unsqueeze(1) + Indices(taps).unsqueeze(0)).flatten();
  const auto area = static_cast<std::int64_t>(taps.size());
  return padded.flatten(1)
      .index_select(1, all)
      .reshape({channels, -1, area})
      .permute({1, 0, 2})
      .reshape({-1, channels * area});
}

// a' b. As a convolution of one pixel by oneDNN where it is there: the BLAS that libtorch comes with may be a
// tenth as fast.
torch::Tensor Product(const torch::Tensor& a, const torch::Tensor& b) {
  if (!at::hasMKLDNN()) return at::matmul(a.t(), b);
  const std::int64_t positions = a.size(0);
  return at::mkldnn_convolution(b.reshape({1, positions, 1, b.size(1)}),
                                a.t().contiguous().reshape({a.size(1), positions, 1, 1}), {}, {0, 0}, {1, 1},
                                {1, 1}, 1)
      .reshape({a.size(1), b.size(1)});
}

class Fitter {
 public:
  Fitter(const Graph& trained, const InputSpec& trained_input, Graph& narrow, const InputSpec& input,
         const Dataset& data, const PruneOptions& options)
      : options_(options),
        trained_graph_(trained),
        narrow_graph_(narrow),
        trained_(trained),
        narrow_(narrow),
        input_(input),
        trained_input_(trained_input),
        data_(data) {
    trained_.eval();
    narrow_.eval();
    for (const GraphModule::Named& named : trained_.tensors()) theirs_[named.name] = named.tensor;
    for (const GraphModule::Named& named : narrow_.tensors()) own_[named.name] = named;
  }

  PruneReport Run() {
    std::vector<PrunedConv> convs = ChoosePrunedChannels(trained_graph_, narrow_graph_);
    if (!options_.classifier) {
      std::erase_if(convs, [&](const PrunedConv& conv) {
        return own_.at(ConvOf(narrow_graph_, conv.name).inputs[1]).classifier;
      });
    }
    RefuseSmaller();
    if (convs.empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--prune: no convolution of {} is a narrower one of {}, by name and kernel",
                              narrow_graph_.name, trained_graph_.name));
    }
    PruneReport report;
    CopyEqual();
    report.images = std::min(options_.images, data_.size());
    Progress progress("prune",
                      options_.progress ? report.images + static_cast<std::int64_t>(convs.size()) : 0);
    Look(convs, report.images, progress);
    for (const PrunedConv& conv : convs) {
      report.fitted.push_back(Fit(conv));
      progress.Advance(1, conv.name);
    }
    for (const GraphModule::Named& named : narrow_.tensors()) {
      if (!written_.contains(named.name)) report.drawn.push_back(named.name);
    }
    narrow_graph_ = narrow_.Export();
    return report;
  }

 private:
  static const Node& ConvOf(const Graph& graph, const std::string& name) {
    return *std::find_if(graph.nodes.begin(), graph.nodes.end(),
                         [&](const Node& node) { return node.Is("Conv") && node.name == name; });
  }

  // A network that is smaller somewhere would leave layers drawn that --init alone keeps.
  void RefuseSmaller() const {
    for (const Node& node : narrow_graph_.nodes) {
      if (!node.Is("Conv")) continue;
      const auto own = own_.find(node.inputs[1]);
      const auto theirs = theirs_.find(node.inputs[1]);
      if (own == own_.end() || own->second.classifier || theirs == theirs_.end()) continue;
      if (theirs->second.size(0) >= own->second.tensor.size(0)) continue;
      throw Error(
          ErrorCode::kUsage,
          fmt::format("--prune: {} has {} channels in {}, {} wants {}; a larger network is wanted, or "
                      "--init without --prune",
                      trained_graph_.name, theirs->second.size(0), node.name, narrow_graph_.name,
                      own->second.tensor.size(0)));
    }
  }

  // Everything that has a namesake of the same shape; what is fitted is overwritten later.
  void CopyEqual() {
    for (auto& [name, named] : own_) {
      const auto found = theirs_.find(name);
      if (found == theirs_.end() || found->second.sizes() != named.tensor.sizes()) continue;
      if (named.classifier && !options_.classifier) continue;
      Write(name, found->second);
    }
  }

  void Write(const std::string& name, const torch::Tensor& value) {
    own_.at(name).tensor.copy_(value);
    written_.insert(name);
  }

  // Both networks see it at the student's size.
  torch::Tensor Seen(const Image& image, const InputSpec& normalisation) const {
    const NetworkSize size = ChooseNetworkSize(input_, image.height, image.width);
    torch::Tensor seen = torch::empty({1, 3, size.height, size.width});
    Preprocess(image.view(), normalisation, size, seen.data_ptr<float>());
    return seen;
  }

  // The images, and the trained network's results at the chosen positions.
  void Look(const std::vector<PrunedConv>& convs, int images, Progress& progress) {
    std::vector<std::string> wanted;
    for (const PrunedConv& conv : convs) wanted.push_back(ConvOf(trained_graph_, conv.name).outputs[0]);
    const std::int64_t each = std::max<std::int64_t>(1, options_.positions / images);
    for (int i = 0; i < images; ++i) {
      const auto at = static_cast<int>(static_cast<std::int64_t>(i) * data_.size() / images);
      const Image image = data_.Get(at).image;
      const auto values = trained_.Forward(Seen(image, trained_input_), wanted, {});
      for (std::size_t k = 0; k < convs.size(); ++k) {
        const torch::Tensor& result = values.at(wanted[k]);
        const torch::Tensor positions = Positions(options_.seed, i, result.size(2), result.size(3), each);
        targets_[convs[k].name].push_back({.positions = positions,
                                           .width = result.size(3),
                                           .values = result[0]
                                                         .flatten(1)
                                                         .index_select(0, Indices(convs[k].outputs))
                                                         .index_select(1, positions)
                                                         .t()
                                                         .contiguous()});
      }
      images_.push_back(image);
      progress.Advance();
    }
  }

  // The trained weights of the kept channels, nothing for maps that the trained convolution does not read.
  torch::Tensor Cut(const PrunedConv& conv, const torch::Tensor& weight) {
    torch::Tensor padded =
        at::constant_pad_nd(weight.contiguous(), {0, 0, 0, 0, 0, 1}, 0);  // a last map of zeros
    std::vector<std::int64_t> inputs = conv.inputs;
    for (std::int64_t& input : inputs) input = input < 0 ? weight.size(1) : input;
    return padded.index_select(0, Indices(conv.outputs)).index_select(1, Indices(inputs)).contiguous();
  }

  PrunedLayer Fit(const PrunedConv& conv) {
    const Node &node = ConvOf(narrow_graph_, conv.name), &theirs = ConvOf(trained_graph_, conv.name);
    const torch::Tensor weight = theirs_.at(theirs.inputs[1]);
    const torch::Tensor outputs = Indices(conv.outputs);
    const torch::Tensor cut = Cut(conv, weight);
    const std::int64_t kernel_h = cut.size(2), kernel_w = cut.size(3), count = cut[0].numel();

    // Normal equations over all positions. The last input is a constant, 1 where bias or batch norm can hold
    // what is fitted to it.
    const bool constant = HasBias(node) || BatchNormBehind(narrow_graph_, narrow_index_, node) != nullptr;
    torch::Tensor gram = torch::zeros({count + 1, count + 1}, torch::kFloat64),
                  right = torch::zeros({count + 1, cut.size(0)}, torch::kFloat64),
                  squares = torch::zeros({cut.size(0)}, torch::kFloat64);
    std::int64_t positions = 0;
    for (std::size_t i = 0; i < images_.size(); ++i) {
      const Target& target = targets_.at(conv.name)[i];
      const torch::Tensor map =
          narrow_.Forward(Seen(images_[i], input_), {node.inputs[0]}, {}).at(node.inputs[0]);
      torch::Tensor read = Patches(map, node, kernel_h, kernel_w, target.width, target.positions);
      read = torch::cat({read, torch::full({read.size(0), 1}, constant ? 1.0f : 0.0f)}, 1);
      gram += Product(read, read).to(torch::kFloat64);
      right += Product(read, target.values).to(torch::kFloat64);
      squares += target.values.to(torch::kFloat64).square().sum(0);
      positions += read.size(0);
    }
    targets_.erase(conv.name);

    const torch::Tensor prior =
        torch::cat({cut.flatten(1), torch::zeros({cut.size(0), 1})}, 1).t().to(torch::kFloat64);
    torch::Tensor fitted, made;  // made: gram times fitted
    if (positions >= kPositionsPerWeight * count) {
      torch::Tensor pull = torch::full(
          {count + 1}, options_.ridge * gram.diagonal().slice(0, 0, count).mean().item<double>() + 1e-12,
          torch::kFloat64);
      pull[count] = 1e-9 * static_cast<double>(positions);
      fitted = at::linalg_solve(gram + at::diag(pull), right + pull.unsqueeze(1) * prior);
      made = right + pull.unsqueeze(1) * (prior - fitted);
    } else {
      fitted = prior.clone();
      if (constant)
        fitted[count] = (right[count] - at::matmul(gram[count], prior)) / static_cast<double>(positions);
      made = at::matmul(gram, fitted);
    }
    Keep(conv, node, theirs, outputs, fitted.slice(0, 0, count).t().reshape(cut.sizes()), fitted[count]);

    const torch::Tensor wrong = squares - 2 * (fitted * right).sum(0) + (fitted * made).sum(0);
    const torch::Tensor spread = squares - right[count].square() / static_cast<double>(positions);
    return {.name = conv.name,
            .kept = cut.size(0),
            .of = weight.size(0),
            .unexplained = (wrong / spread.clamp_min(1e-12)).clamp(0, 1).mean().item<double>()};
  }

  // `constant`: what is to be added to the fitted convolution's result, to be as the trained one's.
  void Keep(const PrunedConv& conv, const Node& node, const Node& theirs, const torch::Tensor& outputs,
            const torch::Tensor& weight, const torch::Tensor& constant) {
    Write(node.inputs[1], weight.to(torch::kFloat32));
    const Node *norm = BatchNormBehind(narrow_graph_, narrow_index_, node),
               *their_norm = BatchNormBehind(trained_graph_, trained_index_, theirs);
    if (HasBias(node)) Write(node.inputs[2], constant.to(torch::kFloat32));
    if (norm == nullptr || their_norm == nullptr) return;
    for (int i = 1; i <= 4; ++i) {
      Write(norm->inputs[i], theirs_.at(their_norm->inputs[i]).index_select(0, outputs));
    }
    if (HasBias(node)) return;
    own_.at(norm->inputs[3]).tensor.sub_(constant.to(torch::kFloat32));
  }

  struct Target {
    torch::Tensor positions;
    std::int64_t width = 0;
    torch::Tensor values;  // positions x kept channels
  };

  const PruneOptions options_;
  const Graph& trained_graph_;
  Graph& narrow_graph_;
  GraphIndex trained_index_{trained_graph_}, narrow_index_{narrow_graph_};
  GraphModule trained_, narrow_;
  const InputSpec input_, trained_input_;
  const Dataset& data_;
  std::map<std::string, torch::Tensor> theirs_;
  std::map<std::string, GraphModule::Named> own_;
  std::map<std::string, std::vector<Target>> targets_;
  std::vector<Image> images_;  // bytes: a fourth of what networks see
  std::set<std::string> written_;
};

}  // namespace

PruneReport Prune(const Graph& trained, const InputSpec& trained_input, Graph& narrow, const InputSpec& input,
                  const Dataset& data, const PruneOptions& options) {
  const torch::NoGradGuard no_gradients;
  return Fitter(trained, trained_input, narrow, input, data, options).Run();
}

}  // namespace frf
