// SPDX-License-Identifier: Apache-2.0
// See info_plan.h. Subtle: a step's time runs from the last thread's end of the step before to its own, so
// the sum is the frame; steps are timed within whole frames, caches as they are then. GFLOP/s count the
// multiply-accumulates of the definition: Winograd does with fewer, and may pass the peak.
#include "cli/info_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/plural.h"
#include "base/progress.h"
#include "base/stats.h"
#include "base/system.h"
#include "base/version.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "engine/plan/prepare.h"
#include "engine/session.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

constexpr int kFrames = 15, kWarmUp = 3;

struct StepLine {
  std::string name, kernel, output;
  double ms = 0, macs = 0, bytes = 0, integer_macs = 0;
  double gflops() const { return ms > 0 ? 2 * macs / ms * 1e-6 : 0; }
  // Of what the machine does at best, each kind of multiply-accumulate held to its own peak.
  double of_peak(const Peaks& peaks) const {
    const double seconds = (macs - integer_macs) / peaks.f32_gflops + integer_macs / peaks.int8_gops;
    return ms > 0 ? 2 * seconds / ms * 1e-6 : 0;
  }
  double gbytes() const { return ms > 0 ? bytes / ms * 1e-6 : 0; }
};

Model ModelFor(const PlanArguments& arguments) {
  if (!IsNet(arguments.name)) return LoadForeign(arguments.name);
  if (arguments.classes != 0 && arguments.classes != 11 && arguments.classes != 19) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--plan of a network by name has 11 or 19 classes, --classes says {}",
                            arguments.classes));
  }
  return RandomModel({arguments.name, arguments.options, arguments.classes == 11 ? "camvid" : "cityscapes"});
}

// The shape of what a step gives; its name is that of a node, or of several joined by "+", not all of which
// need be known.
std::string OutputOf(const engine::PreparedGraph& prepared, std::string step) {
  for (;;) {
    const std::size_t plus = step.rfind('+');
    const std::string last = plus == std::string::npos ? step : step.substr(plus + 1);
    for (const Node& node : prepared.graph.nodes) {
      if (node.name != last || node.outputs.empty()) continue;
      const auto it = prepared.types.find(node.outputs[0]);
      if (it != prepared.types.end()) return ToString(it->second.shape);
    }
    if (plus == std::string::npos) return "";
    step.erase(plus);
  }
}

std::vector<StepLine> TimeSteps(engine::Plan& plan, const engine::PreparedGraph& prepared,
                                const engine::PlanInput& input) {
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(plan.output_height()) * plan.output_width());
  const engine::PlanOutput output{.labels = labels.data(), .label_stride = plan.output_width()};
  std::vector<std::vector<double>> times(plan.steps().size());
  Progress progress("info: timing the plan", kWarmUp + kFrames);
  for (int frame = 0; frame < kWarmUp + kFrames; ++frame) {
    plan.Run(input, output, /*timed=*/true);
    for (std::size_t s = 0; s < times.size() && frame >= kWarmUp; ++s)
      times[s].push_back(plan.steps()[s].seconds * 1000);
    progress.Advance();
  }
  std::vector<StepLine> lines;
  for (std::size_t s = 0; s < times.size(); ++s) {
    const engine::Step& step = plan.steps()[s];
    lines.push_back({step.name, step.kernel, OutputOf(prepared, step.name), Summarize(times[s]).median,
                     step.macs, step.bytes, step.integers ? step.macs : 0});
  }
  return lines;
}

StepLine SumOf(const std::vector<StepLine>& lines) {
  StepLine sum{"sum", fmt::format("{} steps", lines.size()), "", 0, 0, 0, 0};
  for (const StepLine& line : lines)
    sum.ms += line.ms, sum.macs += line.macs, sum.bytes += line.bytes, sum.integer_macs += line.integer_macs;
  return sum;
}

// Long names keep their end, which tells layers apart.
std::string Short(const std::string& name, std::size_t limit) {
  return name.size() <= limit ? name : "..." + name.substr(name.size() - (limit - 3));
}

void PrintPlan(const std::vector<StepLine>& lines, const Peaks& peaks) {
  std::size_t name_width = 4, kernel_width = 6;
  for (const StepLine& line : lines) {
    name_width = std::max(name_width, Short(line.name, 44).size());
    kernel_width = std::max(kernel_width, line.kernel.size());
  }
  const StepLine sum = SumOf(lines);
  fmt::print("{:<{}}  {:<{}} {:>14} {:>8} {:>6} {:>8} {:>8} {:>10} {:>6}\n", "step", name_width, "kernel",
             kernel_width, "output", "ms", "share", "GFLOP/s", "of peak", "bytes", "GB/s");
  const auto print = [&](const StepLine& line) {
    fmt::print("{:<{}}  {:<{}} {:>14} {:>8.3f} {:>5.1f}% {:>8} {:>8} {:>10} {:>6.1f}\n", Short(line.name, 44),
               name_width, line.kernel, kernel_width, line.output, line.ms,
               sum.ms > 0 ? 100 * line.ms / sum.ms : 0,
               line.macs > 0 ? fmt::format("{:.0f}", line.gflops()) : "",
               line.macs > 0 ? fmt::format("{:.0f} %", 100 * line.of_peak(peaks)) : "",
               FormatBytes(static_cast<std::uint64_t>(line.bytes)), line.gbytes());
  };
  for (const StepLine& line : lines) print(line);
  print(sum);
}

Json ToJson(const StepLine& line, const Peaks& peaks) {
  return {{"name", line.name},
          {"kernel", line.kernel},
          {"output", line.output},
          {"ms", line.ms},
          {"macs", line.macs},
          {"gflops", line.gflops()},
          {"integer_macs", line.integer_macs},
          {"of_peak", line.of_peak(peaks)},
          {"bytes", line.bytes},
          {"gbytes_per_second", line.gbytes()}};
}

}  // namespace

SizePair SizeToCount(const std::string& name, SizePair fixed, SizePair wanted, bool given) {
  const SizePair own = WithFixedSides(wanted, fixed);
  if (given && own != wanted) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: its input is fixed, --size {}x{} is wanted", name, own.first, own.second));
  }
  return own;
}

int RunInfoPlan(const PlanArguments& arguments) {
  const int threads = arguments.threads > 0 ? arguments.threads : DefaultThreads();
  Session session(std::make_shared<LoadedModel>(ModelFor(arguments)),
                  {.threads = threads, .precision = arguments.precision});
  Session::Impl& impl = session.impl();
  const LoadedModel::Impl& loaded = impl.model->impl();
  const auto [height, width] = SizeToCount(arguments.name, {loaded.fixed_height, loaded.fixed_width},
                                           {arguments.height, arguments.width}, arguments.size_given);
  engine::Plan& plan = impl.PlanFor(height, width);
  const engine::PreparedGraph prepared =
      engine::Prepare(*impl.model->impl().GraphToPlan(), {1, 3, height, width});
  std::vector<std::uint8_t> picture(std::size_t{3} * height * width);
  for (std::size_t i = 0; i < picture.size(); ++i)
    picture[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13);
  const engine::PlanInput input{.pixels = picture.data(),
                                .row_stride = std::ptrdiff_t{3} * width,
                                .table = plan.table() ? plan.table() : &impl.table};
  const Peaks peaks = MeasurePeaks(threads);
  const std::vector<StepLine> lines = TimeSteps(plan, prepared, input);
  ClearProgressLine();
  const StepLine sum = SumOf(lines);
  if (arguments.json) {
    Json steps = Json::array();
    for (const StepLine& line : lines) steps.push_back(ToJson(line, peaks));
    PrintJson({{"name", arguments.name},
               {"size", fmt::format("{}x{}", height, width)},
               {"threads", threads},
               {"precision", NameOf(arguments.precision)},
               {"steps", steps},
               {"sum", ToJson(sum, peaks)},
               {"integer_share", sum.macs > 0 ? sum.integer_macs / sum.macs : 0},
               {"peaks", ToJson(peaks)},
               {"arena_bytes", plan.arena_bytes()},
               {"scratch_bytes", plan.scratch_bytes()},
               {"weight_bytes", loaded.weights.bytes()},
               {"kernels", IsaInUse()},
               {"machine", frf::ToJson(ThisMachine())},
               {"commit", Commit()}});
    return 0;
  }
  PrintPlan(lines, peaks);
  fmt::print("\n{} at {}x{} on {} ({}), {}, {}, frf {} ({}), median of {} frames\n", arguments.name, height,
             width, ThisMachine().cpu, IsaInUse(), NameOf(arguments.precision), Counted(threads, "thread"),
             Version(), Commit(), kFrames);
  if (sum.integer_macs > 0)
    fmt::print("{:.2f} % of multiply-accumulates in 8-bit integers\n", 100 * sum.integer_macs / sum.macs);
  fmt::print("peak now: {}; maps {}, scratch {}, packed weights {}\n", ToText(peaks),
             FormatBytes(plan.arena_bytes()), FormatBytes(plan.scratch_bytes()),
             FormatBytes(loaded.weights.bytes()));
  return 0;
}

}  // namespace frf::cli
