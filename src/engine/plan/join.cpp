// SPDX-License-Identifier: Apache-2.0
// Joins a convolution with the program that alone reads it: a lateral 1x1 and the gate behind it, for
// instance, whose map would otherwise be written to memory and read again. Subtle: the convolution moves to
// where the program stands, because the program's other inputs may be made in between; what it reads just
// lives longer.
#include <algorithm>

#include "engine/plan/lower.h"

namespace frf::engine {
namespace {

bool RunsDirectly(const ConvOp& conv, const Lowered& lowered) {
  const bool winograd =
      conv.weight.dim(2) == 3 && conv.weight.dim(3) == 3 && conv.stride_h == 1 && conv.stride_w == 1;
  return !winograd && conv.groups == 1 && conv.phase_h == 1 && conv.phase_w == 1 && conv.sum < 0 &&
         conv.src != lowered.picture;
}

}  // namespace

void JoinConvolutionsWithPrograms(Lowered& lowered) {
  std::vector<int> readers(lowered.values.size(), 0), maker(lowered.values.size(), -1);
  std::vector<bool> has_slices(lowered.values.size(), false);
  for (std::size_t o = 0; o < lowered.ops.size(); ++o) {
    for (const int id : Reads(lowered.ops[o].op)) ++readers[id];
    for (const int id : Writes(lowered.ops[o].op)) maker[id] = maker[id] < 0 ? static_cast<int>(o) : -2;
  }
  for (const Value& value : lowered.values) {
    if (value.parent >= 0) has_slices[value.parent] = true;
  }
  std::vector<bool> gone(lowered.ops.size(), false);
  for (NamedOperation& named : lowered.ops) {
    auto* element = std::get_if<ElementOp>(&named.op);
    if (!element) continue;
    for (std::size_t i = 0; i < element->inputs.size(); ++i) {
      const int id = element->inputs[i].value;
      if (element->inputs[i].kind != kernels::ProgramInput::kMap || readers[id] != 1 || maker[id] < 0)
        continue;
      const Value& value = lowered.values[id];
      if (value.parent >= 0 || has_slices[id] || !value.parts.empty() || value.coding) continue;
      const auto* conv = std::get_if<ConvOp>(&lowered.ops[maker[id]].op);
      if (!conv || gone[maker[id]] || conv->dst != id || !RunsDirectly(*conv, lowered)) continue;
      ConvElementOp joined{*conv, *element, static_cast<int>(i)};
      gone[maker[id]] = true;
      named.name = lowered.ops[maker[id]].name + "+" + named.name;
      named.op = std::move(joined);
      break;
    }
  }
  std::vector<NamedOperation> kept;
  for (std::size_t o = 0; o < lowered.ops.size(); ++o) {
    if (!gone[o]) kept.push_back(std::move(lowered.ops[o]));
  }
  lowered.ops = std::move(kept);
}

}  // namespace frf::engine
