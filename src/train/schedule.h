// SPDX-License-Identifier: Apache-2.0
// Learning rate (and cycled momentum) as a pure function of the step: nothing to save but the step itself.
//
//   ScheduleSpec spec{.kind = ScheduleKind::kOneCycle, .rate = 2e-3, .steps = 45 * 60};
//   Rates rates = RatesAt(spec, step);      // step 0 is the first update
//
// Subtle: one-cycle equals torch's OneCycleLR bit for bit in its formula (phase ends at pct_start * steps - 1
// and steps - 1), including beta1 (or momentum) cycled against the rate.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace frf {

enum class ScheduleKind { kConstant, kCosine, kPoly, kOneCycle, kWarmupStableDecay };

struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kCosine;
  double rate = 1e-3;             // the highest
  double final_rate = 1e-6;       // at the last step: cosine, poly, warm-up/stable/decay
  std::int64_t steps = 1;         // of the whole run
  std::int64_t warmup_steps = 0;  // linear from rate / (warmup_steps + 1); not for one-cycle
  std::int64_t decay_steps = 0;   // warm-up/stable/decay: length of the last part (cosine to final_rate)
  double power = 0.9;             // poly
  double warmup_share =
      0.1;  // one-cycle: share of the steps that rise (torch's pct_start; its default is 0.3)
  double div = 25, final_div = 1e4;
  bool cycle_momentum = true;  // one-cycle: beta1 or momentum 0.95 -> 0.85 -> 0.95
  double momentum_low = 0.85, momentum_high = 0.95;
};

struct Rates {
  double rate = 0;
  double momentum = -1;  // beta1 of Adam, momentum of SGD; negative: the optimiser's own
};

// `step` in [0, steps); beyond the end the last step's rates hold.
Rates RatesAt(const ScheduleSpec& spec, std::int64_t step);

// Throws kUsage naming the field where lengths or rates make no sense.
void Check(const ScheduleSpec& spec);

ScheduleKind ScheduleKindFromName(const std::string& name);  // constant, cosine, poly, onecycle, wsd
std::string Name(ScheduleKind kind);
Json ToJson(const ScheduleSpec& spec);
ScheduleSpec ScheduleSpecFromJson(const Json& json,
                                  const std::string& what);  // absent keys keep their defaults

}  // namespace frf
