// SPDX-License-Identifier: Apache-2.0
#include "train/inference.h"

#include <cstring>

#include "graph/passes.h"
#include "train/evaluate.h"

#if defined(FRF_TRAIN_CUDA)
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace frf {

#if defined(FRF_TRAIN_CUDA)
struct Inference::Captured {
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  at::cuda::CUDAGraph graph;
};
#else
struct Inference::Captured {};
#endif

Inference::Inference(const Graph& graph, const InputSpec& input, torch::Device device, torch::ScalarType type,
                     int height, int width)
    : module_(FoldBatchNorm(graph.ForInference())), device_(device), type_(type) {
  scores_ = ScoresName(module_.graph());
  const torch::NoGradGuard no_gradients;
  module_.eval();
  module_.To(device);
  module_.To(type);
  // (byte - mean) / deviation, the mean and deviation in units of bytes.
  std::vector<float> scale(3), shift(3);
  for (int c = 0; c < 3; ++c) scale[c] = 1.0f / input.std[c], shift[c] = -input.mean[c] / input.std[c];
  scale_ = torch::tensor(scale).view({1, 3, 1, 1}).to(device);
  shift_ = torch::tensor(shift).view({1, 3, 1, 1}).to(device);
  const auto bytes = torch::TensorOptions().dtype(torch::kUInt8);
  host_ = torch::zeros({height, width, 3}, device.is_cuda() ? bytes.pinned_memory(true) : bytes);
  bytes_ = device.is_cuda() ? torch::zeros({height, width, 3}, bytes.device(device)) : host_;
#if defined(FRF_TRAIN_CUDA)
  if (device.is_cuda()) {
    graph_ = std::make_unique<Captured>();
    const c10::cuda::CUDAStreamGuard guard(graph_->stream);
    for (int i = 0; i < 3; ++i) Compute();  // libraries choose their algorithms before the capture
    graph_->stream.synchronize();
    graph_->graph.capture_begin();
    labels_ = Compute();
    graph_->graph.capture_end();
    labels_host_ = torch::zeros({height, width}, bytes.pinned_memory(true));
  }
#endif
}

Inference::~Inference() = default;

bool Inference::captured() const { return graph_ != nullptr; }

torch::Tensor Inference::Compute() {
  const torch::Tensor planes = bytes_.permute({2, 0, 1}).unsqueeze(0).to(torch::kFloat32) * scale_ + shift_;
  const torch::Tensor image = planes.to(type_).contiguous(torch::MemoryFormat::ChannelsLast);
  return module_.Forward(image, {scores_}, {}).at(scores_).argmax(1).to(torch::kUInt8).squeeze(0);
}

const std::uint8_t* Inference::Run(const std::uint8_t* rgb) {
  const torch::NoGradGuard no_gradients;
  std::memcpy(host_.data_ptr(), rgb, static_cast<std::size_t>(host_.numel()));
#if defined(FRF_TRAIN_CUDA)
  if (graph_) {
    const c10::cuda::CUDAStreamGuard guard(graph_->stream);
    bytes_.copy_(host_, /*non_blocking=*/true);
    graph_->graph.replay();
    labels_host_.copy_(labels_, /*non_blocking=*/true);
    graph_->stream.synchronize();
    return labels_host_.data_ptr<std::uint8_t>();
  }
#endif
  if (device_.is_cuda()) bytes_.copy_(host_);
  labels_host_ = Compute().to(torch::kCPU).contiguous();
  return labels_host_.data_ptr<std::uint8_t>();
}

torch::Tensor Inference::Scores() {
  const torch::NoGradGuard no_gradients;
  const torch::Tensor planes = bytes_.permute({2, 0, 1}).unsqueeze(0).to(torch::kFloat32) * scale_ + shift_;
  return module_.Forward(planes.to(type_).contiguous(torch::MemoryFormat::ChannelsLast), {scores_}, {})
      .at(scores_)
      .to(torch::kCPU, torch::kFloat32)
      .contiguous();
}

}  // namespace frf
