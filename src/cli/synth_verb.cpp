// SPDX-License-Identifier: Apache-2.0
// `frf synth -o DIR`: street scenes with exact labels, drawn, as a data set on disk.
#include <fmt/format.h>

#include <chrono>

#include "base/plural.h"
#include "base/system.h"
#include "cli/cli.h"
#include "data/synth.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

struct SynthArguments {
  SynthWriteOptions options;
  std::string size;
  bool json = false;
};

int RunSynth(const SynthArguments& arguments) {
  SynthWriteOptions options = arguments.options;
  if (!arguments.size.empty()) {
    std::tie(options.height, options.width) = ParseSize(arguments.size, "--size");
    try {
      ValidateScene({.height = options.height, .width = options.width});
    } catch (const Error& error) {
      throw Error(ErrorCode::kUsage, fmt::format("--size {}: {}", arguments.size, error.what()));
    }
  }
  if (options.threads == 0) options.threads = DefaultThreads();
  const auto start = std::chrono::steady_clock::now();
  const int written = WriteSynth(options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    PrintJson(
        {{"folder", options.folder}, {"layout", options.layout}, {"scenes", written}, {"seconds", seconds}});
  } else {
    fmt::print("{} in {}/ ({} layout, seed {}), {:.1f} s\n  frf data check {}:{}\n",
               Counted(written, "scene"), options.folder, options.layout, options.seed, seconds,
               options.layout, options.folder);
  }
  return 0;
}

}  // namespace

void AddSynth(CLI::App& root, Action& action) {
  auto a = std::make_shared<SynthArguments>();
  a->options.threads = 0;
  CLI::App* app = root.add_subcommand("synth", "draw street scenes with exact labels; no download needed");
  app->add_option("-o,--output", a->options.folder, "folder of the data set")->required();
  app->add_option("--count", a->options.count, "scenes for train and val together")
      ->check(CLI::Range(1, 1'000'000));
  app->add_option("--test-count", a->options.test_count, "test scenes beside them")
      ->check(CLI::Range(0, 1'000'000));
  app->add_option("--val-share", a->options.val_share, "share of --count that is val")
      ->check(Between(0.0, 0.9));
  app->add_option("--seed", a->options.seed, "of the first scene; the same seed draws the same scenes again")
      ->check(AtLeastZero());
  app->add_option("--layout", a->options.layout, "files and names as this data set has them")
      ->check(CLI::IsMember({"camvid", "cityscapes"}));
  app->add_option("--size", a->size,
                  "HEIGHTxWIDTH, 32 to 8192 each; default 360x480, Cityscapes layout 512x1024");
  app->add_option("--threads", a->options.threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer("Example: frf synth -o streets --count 500 && frf train --data camvid:streets -o runs/streets");
  app->callback([a, &action] { action = [a] { return RunSynth(*a); }; });
}

}  // namespace frf::cli
