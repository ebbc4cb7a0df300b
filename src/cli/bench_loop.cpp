// SPDX-License-Identifier: Apache-2.0
// Times one case: every contestant in turns within one loop, each frame's result compared.
// Subtle: the order rotates from round to round, and before a contestant's turn all others' threads are given
// time to fall asleep, so that none runs on what another one left: its spinning threads, or always the same
// one's caches.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "base/progress.h"
#include "cli/bench.h"
#include "cli/bench_convert.h"
#include "cli/cli.h"
#include "engine/plain.h"
#include "frf/error.h"
#include "graph/output.h"
#include "image/transform.h"

namespace frf::cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Threads of a process that run or wait for a core, but for `self`.
int RunningThreads(int process, long self) {
  const std::string folder = process == 0 ? "/proc/self/task" : fmt::format("/proc/{}/task", process);
  DIR* tasks = ::opendir(folder.c_str());
  if (tasks == nullptr) return 0;
  int running = 0;
  while (const dirent* entry = ::readdir(tasks)) {
    const long id = std::atol(entry->d_name);
    if (id <= 0 || id == self) continue;
    std::ifstream file(fmt::format("{}/{}/stat", folder, entry->d_name));
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(')');  // the name before it may hold anything
    running += name_end != std::string::npos && name_end + 2 < line.size() && line[name_end + 2] == 'R';
  }
  ::closedir(tasks);
  return running;
}

double EqualShare(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  if (a.size() != b.size() || a.empty()) return 0;
  std::int64_t equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& wanted) {
  float largest = 0, difference = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(wanted[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(wanted[i]));
    difference = std::max(difference, std::abs(a[i] - wanted[i]));
  }
  return largest > 0 ? difference / largest : difference;
}

// One contestant's part of the loop.
struct Lane {
  Contestant* contestant;
  BenchRow row;
  std::vector<double> times;
};

void Take(Lane& lane, const FrameResult& got, const FrameResult& wanted) {
  const auto keep_worst = [](double& worst, double value, bool low) {
    worst = worst < 0 ? value : low ? std::min(worst, value) : std::max(worst, value);
  };
  if (wanted.labels.empty()) return;
  keep_worst(lane.row.agreement, EqualShare(got.labels, wanted.labels), true);
  if (!wanted.scores.empty() && got.scores.size() == wanted.scores.size()) {
    keep_worst(lane.row.scores_difference, LargestDifference(got.scores, wanted.scores), false);
  }
}

// One frame, timed; what goes wrong ends the lane with an error instead of the run.
bool Turn(Lane& lane, std::vector<double>* times) {
  if (!lane.row.error.empty()) return false;
  try {
    const double ms = lane.contestant->Run();
    if (times) times->push_back(ms);
    return true;
  } catch (const Error& error) {
    lane.row.error = error.what();
    lane.times.clear();
    return false;
  }
}

// At least three frames and a third of a second, at most ten frames. Returns milliseconds of the last one.
double WarmUp(Lane& lane) {
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  while (times.size() < 3 || (times.size() < 10 && SecondsSince(start) < 0.3)) {
    if (!Turn(lane, &times)) return 0;
  }
  return times.back();
}

int RunsFor(const LoopOptions& options, double slowest_ms) {
  if (options.runs > 0) return options.runs;
  const double fitting = options.seconds * 1000 / std::max(slowest_ms, 1e-3);
  return std::clamp(static_cast<int>(fitting), 5, 100);
}

}  // namespace

void WaitUntilQuiet(const std::vector<int>& processes) {
  const long self = ::syscall(SYS_gettid);
  const Clock::time_point start = Clock::now();
  for (int quiet = 0; quiet < 2 && SecondsSince(start) < 0.2;) {
    int running = 0;
    for (const int process : processes) running += RunningThreads(process, self);
    quiet = running == 0 ? quiet + 1 : 0;
    ::usleep(300);  // not a loop without rest: on a busy machine the scheduler would have us pay for it
                    // within the next frame
  }
}

FrameResult ReferenceResult(const BenchCase& bench_case) {
  FrameResult result;
  try {
    PlainExecutor executor(bench_case.model.graph.ForInference(), {.threads = bench_case.threads});
    const Shape shape{1, 3, bench_case.height, bench_case.width};
    Tensor image = Tensor::Uninitialized(bench_case.bytes_in() ? DType::kUint8 : DType::kFloat32, shape);
    if (bench_case.bytes_in())
      PlanarBytes(bench_case.picture.view(), image.data<std::uint8_t>(), bench_case.threads);
    else
      std::copy(bench_case.planes.begin(), bench_case.planes.end(), image.data<float>());
    const Graph& graph = executor.graph();
    const Tensor output = executor.Run({{graph.inputs[0].name, image}}).at(MainOutput(graph).name);
    result.height = static_cast<int>(output.dim(-2));
    result.width = static_cast<int>(output.dim(-1));
    const std::int64_t pixels = std::int64_t{result.height} * result.width;
    if (bench_case.gives_labels()) {
      result.labels = output.ToVector<std::uint8_t>();
      if (result.height == bench_case.height && result.width == bench_case.width) return result;
      // Labels below the picture's size are enlarged, as sessions do.
      result.labels = ResizeNearest(LabelImage{result.height, result.width, result.labels}, bench_case.height,
                                    bench_case.width)
                          .ids;
      result.height = bench_case.height, result.width = bench_case.width;
      return result;
    }
    result.classes = static_cast<int>(output.dim(1));
    if (bench_case.to_labels) {
      result.labels = LabelsFromScores(output.data<float>(), result.classes, result.height, result.width, 0,
                                       0, bench_case.height, bench_case.width)
                          .ids;
      return result;
    }
    result.labels.resize(pixels);
    ArgMax(output.data<float>(), result.classes, pixels, result.labels.data(), bench_case.threads);
    result.scores = output.ToVector<float>();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    return {};
  }
  return result;
}

std::vector<BenchRow> Measure(const BenchCase& bench_case,
                              const std::vector<std::unique_ptr<Contestant>>& contestants,
                              const LoopOptions& options) {
  std::vector<Lane> lanes;
  std::vector<int> processes;
  for (const auto& contestant : contestants) {
    lanes.push_back({contestant.get(), {}, {}});
    BenchRow& row = lanes.back().row;
    row.name = bench_case.name, row.size = bench_case.size(), row.threads = contestant->threads;
    row.precision = contestant->precision;
    row.engine = contestant->engine, row.version = contestant->version, row.file = contestant->file;
    row.to_labels = bench_case.to_labels, row.macs = bench_case.macs;
    processes.push_back(contestant->process());
  }
  double slowest = 0;
  for (Lane& lane : lanes) {
    WaitUntilQuiet(processes);
    slowest = std::max(slowest, WarmUp(lane));
  }
  const FrameResult reference = ReferenceResult(bench_case);
  FrameResult ours, last;
  if (lanes.front().row.error.empty()) contestants.front()->Read(ours);

  const int runs = RunsFor(options, slowest), count = static_cast<int>(lanes.size());
  Progress progress(options.title, std::int64_t{runs} * count);
  for (int run = 0; run < runs; ++run) {
    for (int turn = 0; turn < count; ++turn) {
      Lane& lane = lanes[(run + turn) % count];
      // Alone, frf runs frame after frame, as for a camera.
      if (count > 1) WaitUntilQuiet(processes);
      if (Turn(lane, &lane.times)) {
        lane.contestant->Read(last);
        Take(lane, last, IsOurs(lane.row.engine) ? reference : ours);
      }
      progress.Advance(1, lane.row.engine);
    }
  }
  std::vector<BenchRow> rows;
  for (Lane& lane : lanes) {
    if (!lane.times.empty()) lane.row.ms = Summarize(lane.times);
    rows.push_back(std::move(lane.row));
  }
  return rows;
}

}  // namespace frf::cli
