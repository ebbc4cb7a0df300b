// SPDX-License-Identifier: Apache-2.0
// Times training steps (forward, loss, backward, AdamW) of a network. Two ways to run it:
//
//   frf_bench_step --steps 10                  prints milliseconds of each step
//   frf_bench_step --serve                     one step for every line on standard input:
//   scripts/bench_step.py alternates it
//                                              with PyTorch's
//
// Weights, images and labels are those of scripts/golden (seeds, not files), so that both sides can compare
// their losses.
#include <fmt/format.h>

#include <chrono>
#include <iostream>

#include "base/random.h"
#include "base/stats.h"
#include "base/system.h"
#include "nets/nets.h"
#include "train/device.h"
#include "train/losses.h"
#include "train/module.h"
#include "train/optimizer.h"

namespace {

using namespace frf;

struct Options {
  std::string net = "frfnet", kernels = "winograd";
  int classes = 11, batch = 4, height = 360, width = 480, threads = 0, steps = 10;
  bool serve = false;
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) throw Error(ErrorCode::kUsage, key + " wants a value");
      return argv[++i];
    };
    if (key == "--serve")
      options.serve = true;
    else if (key == "--net")
      options.net = value();
    else if (key == "--kernels")
      options.kernels = value();
    else if (key == "--classes")
      options.classes = std::stoi(value());
    else if (key == "--batch")
      options.batch = std::stoi(value());
    else if (key == "--height")
      options.height = std::stoi(value());
    else if (key == "--width")
      options.width = std::stoi(value());
    else if (key == "--threads")
      options.threads = std::stoi(value());
    else if (key == "--steps")
      options.steps = std::stoi(value());
    else
      throw Error(ErrorCode::kUsage, "unknown option " + key);
  }
  return options;
}

class Trainer {
 public:
  explicit Trainer(const Options& options)
      : graph_(Drawn(options)),
        module_(graph_),
        optimizer_(module_, {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2, .decay_all = true}),
        loss_({}, graph_) {
    module_.SetKernels(options.kernels == "plain"    ? Kernels::kPlain
                       : options.kernels == "direct" ? Kernels::kDirect
                                                     : Kernels::kWinograd);
    module_.train();
    images_ = torch::empty({options.batch, 3, options.height, options.width});
    labels_ = torch::empty({options.batch, options.height, options.width}, torch::kUInt8);
    Random normal(7, 0, 2), blocks(7, 0, 1);
    for (std::int64_t i = 0; i < images_.numel(); ++i)
      images_.data_ptr<float>()[i] = static_cast<float>(normal.Normal());
    for (std::int64_t i = 0; i < labels_.numel(); ++i) {
      labels_.data_ptr<std::uint8_t>()[i] =
          static_cast<std::uint8_t>((blocks.NextU64() >> 32) % options.classes);
    }
  }

  // Milliseconds and loss.
  std::pair<double, double> Step() {
    const auto start = std::chrono::steady_clock::now();
    optimizer_.ZeroGrad();
    torch::Tensor loss = loss_(module_.ForwardForLoss(images_), labels_);
    loss.backward();
    optimizer_.Step({.rate = 1e-3});
    const double value = loss.item<double>();
    return {std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count(),
            value};
  }

 private:
  static Graph Drawn(const Options& options) {
    Graph graph = BuildNet(options.net, {{"classes", options.classes}});
    InitializeWeights(graph, 7);
    return graph;
  }
  Graph graph_;
  GraphModule module_;
  Optimizer optimizer_;
  Loss loss_;
  torch::Tensor images_, labels_;
};

int Run(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  ConfigureCpu(options.threads);
  Trainer trainer(options);
  if (options.serve) {
    for (std::string line; std::getline(std::cin, line);) {
      const auto [ms, loss] = trainer.Step();
      std::cout << fmt::format("{:.3f} {:.9g}", ms, loss) << std::endl;
    }
    return 0;
  }
  std::vector<double> times;
  trainer.Step();
  for (int i = 0; i < options.steps; ++i) {
    const auto [ms, loss] = trainer.Step();
    times.push_back(ms);
    std::cout << fmt::format("step {}: {:.1f} ms, loss {:.6f}\n", i + 1, ms, loss) << std::flush;
  }
  const TimingStats stats = Summarize(times);
  const AllocatorStats memory = CachingAllocatorStats();
  std::cout << fmt::format(
      "{}: median {:.1f} ms, MAD {:.1f}, p90 {:.1f}, min {:.1f}; {} threads; {} blocks reused, {} fresh, "
      "peak {}\n",
      options.net, stats.median, stats.mad, stats.p90, stats.min, at::get_num_threads(), memory.reused,
      memory.fresh, FormatBytes(memory.bytes_peak));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const frf::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
