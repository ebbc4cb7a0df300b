// SPDX-License-Identifier: Apache-2.0
#include "train/train_step.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "base/log.h"

#if defined(FRF_TRAIN_CUDA)
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace frf {

#if defined(FRF_TRAIN_CUDA)

namespace {
constexpr int kWarmUp = 3;  // libraries choose their algorithms before the capture
}

struct TrainStep::Captured {
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  // What kind of step it is, and how many of them ran.
  std::shared_ptr<const Loss> loss;  // its weights are read at each replay
  std::vector<std::int64_t> image_shape;
  int seen = 0;
  bool replayed = false;
  // Read and written by the graph, at the same addresses each time.
  Input input;
  torch::Tensor value;
  std::vector<torch::Tensor> gradients;  // by parameter; undefined: it has none
};

TrainStep::TrainStep(GraphModule& module, torch::Device device, Precision precision, bool capture)
    : module_(module), device_(device), precision_(precision) {
  if (!capture || !device.is_cuda() || precision == Precision::kFloat16) return;
  torch::cuda::synchronize();  // what was put on the default stream is there
  captured_ = std::make_unique<Captured>();
  c10::cuda::setCurrentCUDAStream(captured_->stream);
}

TrainStep::~TrainStep() {
  if (!captured_) return;
  captured_->stream.synchronize();
  c10::cuda::setCurrentCUDAStream(c10::cuda::getDefaultCUDAStream());
}

bool TrainStep::captured() const { return captured_ && captured_->replayed; }

// Everything that the graph holds; the stream stays.
void TrainStep::Forget() {
  Captured& c = *captured_;
  c.stream.synchronize();
  c.graph.reset();
  c.gradients.clear();
  c.input = {};
  c.value = torch::Tensor();
  c.seen = 0;
}

bool TrainStep::Capture(const Input& input) {
  Captured& c = *captured_;
  c.input = {input.images.clone(), input.labels.clone(),
             input.targets.defined() ? input.targets.clone() : torch::Tensor()};
  for (torch::Tensor& parameter : module_.Parameters()) parameter.mutable_grad().reset();
  c.stream.synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();  // the graph takes memory of its own
  c.graph = std::make_unique<at::cuda::CUDAGraph>();
  std::string reason;
  try {
    c.graph->capture_begin();
    const torch::Tensor value = Compute(c.input, *c.loss);
    value.backward();
    c.value = value.detach();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  try {  // also after an error: the stream would stay in capture
    c.graph->capture_end();
  } catch (const std::exception& error) {
    if (reason.empty()) reason = error.what();
  }
  std::vector<torch::Tensor> parameters = module_.Parameters();
  if (reason.empty()) {
    for (torch::Tensor& parameter : parameters) c.gradients.push_back(parameter.grad());
    LogInfo(fmt::format("the step for {} x {} images of {} x {} is one CUDA graph now",
                        c.input.images.size(0), c.input.images.size(1), c.input.images.size(2),
                        c.input.images.size(3)));
    return true;
  }
  for (torch::Tensor& parameter : parameters) parameter.mutable_grad().reset();
  Forget();
  LogWarning(
      fmt::format("the training step could not be captured as a CUDA graph and runs operator by operator: {}",
                  reason.substr(0, reason.find('\n'))));
  return false;
}

// Runs both passes where they are captured, or are to be from this step on; false: the caller does.
bool TrainStep::Replay(const Input& input, const std::shared_ptr<const Loss>& loss) {
  if (!captured_) return false;
  Captured& c = *captured_;
  if (c.loss != loss || c.image_shape != input.images.sizes().vec()) {
    Forget();
    c.loss = loss;
    c.image_shape = input.images.sizes().vec();
  }
  c.replayed = false;
  if (c.seen++ < kWarmUp) return false;
  if (!c.graph && !Capture(input)) {
    c10::cuda::setCurrentCUDAStream(c10::cuda::getDefaultCUDAStream());
    captured_.reset();
    return false;
  }
  c.input.images.copy_(input.images, /*non_blocking=*/true);
  c.input.labels.copy_(input.labels, /*non_blocking=*/true);
  if (input.targets.defined()) c.input.targets.copy_(input.targets, /*non_blocking=*/true);
  c.graph->replay();
  value_ = c.value;
  return c.replayed = true;
}

void TrainStep::HandOut() {
  std::vector<torch::Tensor> parameters = module_.Parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].mutable_grad() = captured_->gradients[i];
}

#else  // nothing to capture with

struct TrainStep::Captured {};

TrainStep::TrainStep(GraphModule& module, torch::Device device, Precision precision, bool)
    : module_(module), device_(device), precision_(precision) {}
TrainStep::~TrainStep() = default;
bool TrainStep::captured() const { return false; }
bool TrainStep::Replay(const Input&, const std::shared_ptr<const Loss>&) { return false; }
void TrainStep::HandOut() {}

#endif

torch::Tensor TrainStep::Forward(const torch::Tensor& images, const torch::Tensor& labels,
                                 const std::shared_ptr<const Loss>& loss, const torch::Tensor& targets) {
  const Input input{images, labels, targets};
  if (!Replay(input, loss)) value_ = Compute(input, *loss);
  return value_.detach();
}

void TrainStep::Backward(double scale) {
  if (captured()) {
    HandOut();
  } else {
    (scale == 1.0 ? value_ : value_ * scale).backward();
  }
  value_.reset();
}

torch::Tensor TrainStep::Compute(const Input& input, const Loss& loss) {
  std::map<std::string, torch::Tensor> outputs;
  {
    const Autocast cast(device_, precision_);
    outputs = module_.ForwardForLoss(input.images);
  }
  for (auto& [name, value] : outputs) value = value.to(torch::kFloat32);
  return loss(outputs, input.labels, input.targets);
}

}  // namespace frf
