// SPDX-License-Identifier: Apache-2.0
// Operators that the engine has no kernels for run as the plain executor runs them, on tensors of planes.
// Subtle: what they make is counted in the plan's meter and let go of after its last reader, where that is
// one of them; what others read stays until the next run begins.
#include <fmt/format.h>

#include <algorithm>

#include "engine/plain_op.h"
#include "engine/plan/step_builder.h"
#include "frf/error.h"

namespace frf::engine {

using kernels::Map;

void StepBuilder::Build(const std::string& name, const ToMapOp& op) {
  const Map dst = MapOf(op.dst);
  const int channels = lowered_.values[op.dst].channels;
  Step step{.name = name, .kernel = "planes to map", .items = dst.height};
  step.bytes = 8.0 * channels * dst.height * dst.width;
  step.run = [=, plan = &plan_, k = &kernels_, src = op.src](std::int64_t y, float*) {
    k->planes_in({.planes = plan->plain_[src].data<float>(), .channels = channels, .dst = dst}, y);
  };
  Add(std::move(step));
}

void StepBuilder::Build(const std::string& name, const ToPlainOp& op) {
  const Map src = MapOf(op.src);
  const Value& value = lowered_.values[op.src];
  const Shape shape{1, value.channels, value.height, value.width};
  plan_.memory_->Reserve(static_cast<std::uint64_t>(NumElements(shape)) * sizeof(float), name);
  plan_.plain_[op.dst] = Tensor::Uninitialized(DType::kFloat32, shape);
  float* const planes = plan_.plain_[op.dst].data<float>();
  Step step{.name = name, .kernel = "map to planes", .items = src.height};
  step.bytes = 8.0 * value.channels * src.height * src.width;
  step.run = [=, k = &kernels_, channels = value.channels](std::int64_t y, float*) {
    k->planes_out({src, channels, planes}, y);
  };
  Add(std::move(step));
}

namespace {

// Later steps copy as many bytes as shape inference promised, so a result of another size must not reach
// them.
void CheckInferred(const Node& node, std::size_t i, const Tensor& seen,
                   const std::optional<TensorType>& wanted) {
  if (!wanted || (seen.dtype() == wanted->dtype && seen.shape() == wanted->shape)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} ({}): output {} is {} {}, the plan was made for {} {}; do its attributes and "
                          "inputs contradict each other?",
                          node.name, node.op, i, Name(seen.dtype()), ToString(seen.shape()),
                          Name(wanted->dtype), ToString(wanted->shape)));
}

}  // namespace

void StepBuilder::Build(const std::string& name, const PlainNodeOp& op) {
  struct State {
    PlainNodeOp op;
    plain::OpStates states;
    std::vector<bool> constant;
    std::vector<std::optional<TensorType>> wanted;  // of the outputs
    std::vector<int> over;                          // values that nothing reads after this
  };
  auto state = std::make_shared<State>(State{op, {}, {}, {}, {}});
  for (const int id : op.outputs) {
    if (id >= 0) plan_.made_plainly_.push_back(id);
  }
  for (const std::vector<int>& ids : {op.inputs, op.outputs}) {
    for (const int id : ids) {
      const bool made =
          std::find(plan_.made_plainly_.begin(), plan_.made_plainly_.end(), id) != plan_.made_plainly_.end();
      if (made && last_reader_[RootOf(id)] == current_) state->over.push_back(id);
    }
  }
  for (const int id : op.inputs)
    state->constant.push_back(id >= 0 && lowered_.values[id].constant.has_data());
  for (const int id : op.outputs) state->wanted.push_back(id >= 0 ? lowered_.values[id].type : std::nullopt);
  if (!plain::IsSupported(op.node)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: there is no operator {}{}{}", op.node.name, op.node.domain,
                            op.node.domain.empty() ? "" : ".", op.node.op));
  }
  Step step{.name = name, .kernel = "plain " + op.node.op, .serial = true};
  step.run = [state, plan = &plan_, opset = lowered_.opset](std::int64_t, float*) {
    std::vector<Tensor> inputs;
    for (const int id : state->op.inputs) inputs.push_back(id >= 0 ? plan->plain_[id] : Tensor());
    plain::MemoryMeter& memory = *plan->memory_;
    plain::OpContext context(state->op.node, opset, std::move(inputs), memory, state->states);
    context.constant = state->constant;
    const std::vector<Tensor> outputs = plain::RunOp(context);
    for (std::size_t i = 0; i < state->op.outputs.size(); ++i) {
      const int id = state->op.outputs[i];
      if (id < 0) continue;
      if (i >= outputs.size() || !outputs[i].has_data()) {
        throw Error(ErrorCode::kUnsupported, fmt::format("{} ({}): output {} is not computed",
                                                         state->op.node.name, state->op.node.op, i));
      }
      CheckInferred(state->op.node, i, outputs[i], state->wanted[i]);
      memory.Hold(outputs[i]);
      plan->plain_[id] = outputs[i];
    }
    for (const int id : state->over) {
      memory.Drop(plan->plain_[id]);
      plan->plain_[id] = Tensor();
    }
    memory.ReleaseTemporaries();
  };
  Add(std::move(step));
}

}  // namespace frf::engine
