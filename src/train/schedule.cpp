// SPDX-License-Identifier: Apache-2.0
// The schedules' formulas. Subtle: "step" is the index of the update about to be made, so step 0 already has
// a positive rate under warm-up, and the last update (steps - 1) has the final one.
#include "train/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "frf/error.h"
#include "train/field_reader.h"

namespace frf {
namespace {

constexpr std::pair<ScheduleKind, const char*> kNames[] = {{ScheduleKind::kConstant, "constant"},
                                                           {ScheduleKind::kCosine, "cosine"},
                                                           {ScheduleKind::kPoly, "poly"},
                                                           {ScheduleKind::kOneCycle, "onecycle"},
                                                           {ScheduleKind::kWarmupStableDecay, "wsd"}};

// From `start` at 0 to `end` at 1, as torch's OneCycleLR anneals.
double Anneal(double start, double end, double share) {
  return end + (start - end) / 2.0 * (1.0 + std::cos(std::numbers::pi * share));
}

// Share of the way from the first to the last of `count` updates; a single update stands at the start.
double Share(std::int64_t index, std::int64_t count) {
  return count > 1 ? static_cast<double>(index) / static_cast<double>(count - 1) : 0.0;
}

Rates OneCycle(const ScheduleSpec& spec, std::int64_t step) {
  const double first_end = spec.warmup_share * static_cast<double>(spec.steps) - 1.0;
  const double last = static_cast<double>(spec.steps) - 1.0;
  const double initial = spec.rate / spec.div, lowest = initial / spec.final_div;
  const double now = static_cast<double>(step);
  Rates rates;
  const bool rising = now <= first_end;
  const double length = rising ? first_end : last - first_end;
  const double share = length > 0 ? (rising ? now : now - first_end) / length : 1.0;
  rates.rate = rising ? Anneal(initial, spec.rate, share) : Anneal(spec.rate, lowest, share);
  if (spec.cycle_momentum) {
    rates.momentum = rising ? Anneal(spec.momentum_high, spec.momentum_low, share)
                            : Anneal(spec.momentum_low, spec.momentum_high, share);
  }
  return rates;
}

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kUsage, "schedule: " + message); }

}  // namespace

void Check(const ScheduleSpec& spec) {
  if (spec.steps < 1) Fail(fmt::format("steps = {}, wanted at least 1", spec.steps));
  if (!(spec.rate > 0) || !std::isfinite(spec.rate))
    Fail(fmt::format("rate = {}, wanted above 0", spec.rate));
  const bool ends = spec.kind != ScheduleKind::kConstant && spec.kind != ScheduleKind::kOneCycle;
  if (ends && (!(spec.final_rate >= 0) || spec.final_rate > spec.rate)) {
    Fail(fmt::format("final_rate = {}, wanted between 0 and rate = {}", spec.final_rate, spec.rate));
  }
  if (spec.warmup_steps < 0 || spec.decay_steps < 0 || spec.warmup_steps + spec.decay_steps > spec.steps) {
    Fail(fmt::format("warmup_steps = {} and decay_steps = {} do not fit into steps = {}", spec.warmup_steps,
                     spec.decay_steps, spec.steps));
  }
  if (!(spec.warmup_share >= 0 && spec.warmup_share <= 1))
    Fail(fmt::format("warmup_share = {}, wanted 0 to 1", spec.warmup_share));
  if (!(spec.power >= 0) || !std::isfinite(spec.power))
    Fail(fmt::format("power = {}, wanted 0 or more", spec.power));
  for (const double momentum : {spec.momentum_low, spec.momentum_high}) {
    if (!(momentum >= 0 && momentum < 1))
      Fail(fmt::format("momentum_low and momentum_high: {}, wanted 0 to below 1", momentum));
  }
  if (!(spec.div > 0) || !(spec.final_div > 0)) Fail("div and final_div must be above 0");
}

Rates RatesAt(const ScheduleSpec& spec, std::int64_t step) {
  step = std::clamp<std::int64_t>(step, 0, spec.steps - 1);
  if (spec.kind == ScheduleKind::kOneCycle) return OneCycle(spec, step);
  if (step < spec.warmup_steps) {
    return {spec.rate * static_cast<double>(step + 1) / static_cast<double>(spec.warmup_steps + 1)};
  }
  const double share = Share(step - spec.warmup_steps, spec.steps - spec.warmup_steps);
  switch (spec.kind) {
    case ScheduleKind::kCosine:
      return {Anneal(spec.rate, spec.final_rate, share)};
    case ScheduleKind::kPoly:
      return {spec.final_rate + (spec.rate - spec.final_rate) * std::pow(1.0 - share, spec.power)};
    case ScheduleKind::kWarmupStableDecay: {
      const std::int64_t into = step - (spec.steps - spec.decay_steps);
      return {into < 0 ? spec.rate
                       : Anneal(spec.rate, spec.final_rate,
                                static_cast<double>(into + 1) / static_cast<double>(spec.decay_steps))};
    }
    default:
      return {spec.rate};
  }
}

ScheduleKind ScheduleKindFromName(const std::string& name) {
  for (const auto& [kind, text] : kNames) {
    if (name == text) return kind;
  }
  throw Error(
      ErrorCode::kUsage,
      fmt::format("no schedule is called '{}'; there are constant, cosine, poly, onecycle, wsd", name));
}

std::string Name(ScheduleKind kind) {
  for (const auto& [known, text] : kNames) {
    if (kind == known) return text;
  }
  return "?";
}

Json ToJson(const ScheduleSpec& spec) {
  return {{"kind", Name(spec.kind)},
          {"rate", spec.rate},
          {"final_rate", spec.final_rate},
          {"steps", spec.steps},
          {"warmup_steps", spec.warmup_steps},
          {"decay_steps", spec.decay_steps},
          {"power", spec.power},
          {"warmup_share", spec.warmup_share},
          {"div", spec.div},
          {"final_div", spec.final_div},
          {"cycle_momentum", spec.cycle_momentum},
          {"momentum_low", spec.momentum_low},
          {"momentum_high", spec.momentum_high}};
}

ScheduleSpec ScheduleSpecFromJson(const Json& json, const std::string& what) {
  ScheduleSpec spec;
  const FieldReader read{json, what + ": schedule"};
  read.Named("kind", spec.kind, ScheduleKindFromName);
  read("rate", spec.rate);
  read("final_rate", spec.final_rate);
  read("steps", spec.steps);
  read("warmup_steps", spec.warmup_steps);
  read("decay_steps", spec.decay_steps);
  read("power", spec.power);
  read("warmup_share", spec.warmup_share);
  read("div", spec.div);
  read("final_div", spec.final_div);
  read("cycle_momentum", spec.cycle_momentum);
  read("momentum_low", spec.momentum_low);
  read("momentum_high", spec.momentum_high);
  return spec;
}

}  // namespace frf
