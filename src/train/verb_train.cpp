// SPDX-License-Identifier: Apache-2.0
// `frf train`: options into TrainOptions. Subtle: --epochs, --lr and the like are short names for fields of
// the recipe, applied after the recipe's file and before --set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "base/progress.h"
#include "base/text.h"
#include "frf/error.h"
#include "nets/nets.h"
#include "train/recipe.h"
#include "train/run_folder.h"
#include "train/trainer.h"
#include "train/verbs.h"

namespace frf::train {
namespace {

constexpr const char* kAbout =
    "train a network from scratch, from another's weights (--init), or go on with a stopped run (--resume)";
constexpr const char* kExamples = R"(
Examples:
  frf train --data camvid:data/camvid -o runs/first
      FRFNet by the recipe `best`; scores val every few epochs, keeps the best weights
  frf train --data folder:data/mine --net frfnet-slim --init runs/first --epochs 60 -o runs/mine
      own images (folder:DIR, see docs/data.md), starting from a trained network: layers that fit are
      kept, the classifier is drawn anew
  frf train --data camvid:data/camvid --list dev-train.txt --val-list dev-test.txt --recipe best \
            --set optimizer.weight_decay=0.05 --seed 1 -o runs/decay
  frf train --data camvid:data/camvid --net frfnet-slim --teacher runs/first -o runs/slim
      a small network that learns from a larger one's answers too
  frf train --data camvid:data/camvid --net frfnet-slim --init runs/first --prune -o runs/slim
      a small network cut out of a trained larger one, with most of its score before training begins
  frf train -o runs/first --resume
      go on where a run was stopped or killed; ends in the same weights as if it had not been
  frf train --qat street-int8.onnx --data camvid:data/camvid -o runs/int8
      fine-tune what frf quantize wrote under its own rounding, by the recipe `qat`; frf export makes an
      int8 file of the run again (docs/int8.md)
  torchrun --no_python --nproc_per_node 2 frf train --data camvid:data/camvid --batch 16 -o runs/two
      two processes share every batch of 16 and end where one would (docs/training.md)
  frf train --recipe best --print-recipe > mine.json     edit, then --recipe mine.json

Run folder: config.json, last.ckpt, best.ckpt, log.jsonl, TensorBoard events, report.html.
Then: frf export RUN -o model.onnx. Ctrl-C saves and stops (exit code 1); a second Ctrl-C ends at once.
Exit codes: 0 done, 1 failed or stopped, 2 wrong usage.)";

struct Arguments {
  TrainOptions options;
  std::string net_options, recipe = "best", crop, scale, size, fit, scene_size;
  std::vector<std::string> set;
  int epochs = 0, batch = 0, validate_every = 0;
  int converted = -1;  // `frf train` put files into the run folder and made so many folders for that
  double rate = 0;
  bool no_validation = false, json = false, print_recipe = false;
};

std::pair<double, double> ParseRange(const std::string& text) {
  double low = 0, high = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%lf,%lf%n", &low, &high, &used) != 2 ||
      static_cast<std::size_t>(used) != text.size() || !(low > 0) || high < low) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--scale '{}': LOW,HIGH is wanted, for instance 0.75,2", text));
  }
  return {low, high};
}

bool IsPaperOnCityscapes(const Arguments& a) {
  return a.recipe == "paper" && DataName(a.options.train) == "cityscapes";
}

Recipe ChosenRecipe(const Arguments& a) {
  Recipe recipe = LoadRecipe(a.recipe);
  const int own = IsPaperOnCityscapes(a) ? 1000 : 0;  // published schedules differ by data set
  if (const int epochs = a.epochs != 0 ? a.epochs : own; epochs != 0) SetEpochs(recipe, epochs);
  if (a.batch != 0) recipe.batch = a.batch;
  if (a.rate != 0) recipe.schedule.rate = a.rate;
  if (a.validate_every != 0) recipe.validate_every = a.validate_every;
  if (!a.crop.empty()) std::tie(recipe.crop_height, recipe.crop_width) = ParseSize(a.crop, "--crop");
  if (!a.scale.empty()) std::tie(recipe.augment.scale_min, recipe.augment.scale_max) = ParseRange(a.scale);
  return Override(recipe, a.set);
}

// --net-options and --set have a name each for two things. Where both are given and differ, neither is meant.
void RefuseContradictions(const Arguments& a, const Recipe& recipe) {
  const std::tuple<const char*, const char*, Json> twice[] = {{"aux", "auxiliary", Json(recipe.auxiliary)},
                                                              {"dropout", "dropout", Json(recipe.dropout)}};
  for (const auto& [option, field, value] : twice) {
    const auto sets = [start = std::string(field) + "="](const std::string& s) {
      return s.starts_with(start);
    };
    const auto given = a.options.net_options.find(option);
    if (given == a.options.net_options.end() || *given == value) continue;
    if (std::none_of(a.set.begin(), a.set.end(), sets)) continue;  // then the network's option is obeyed
    throw Error(ErrorCode::kUsage,
                fmt::format("--net-options {}={} and --set {}={} contradict each other; leave one out",
                            option, given->dump(), field, value.dump()));
  }
}

void PrintResult(const TrainResult& result, bool json) {
  if (json) {
    fmt::print("{}\n", ToJson(result).dump(2, ' ', false, Json::error_handler_t::replace));
    return;
  }
  fmt::print("{}: {} epochs in {}, loss {:.4f}", result.run, result.epochs, FormatDuration(result.seconds),
             result.loss);
  if (result.best_miou) fmt::print(", best mIoU {:.4f} (epoch {})", *result.best_miou, result.best_epoch);
  fmt::print("\nnext: frf export {} -o {}\n", ShellWord(result.run),
             ShellWord(std::filesystem::path(result.run).filename().string() + ".onnx"));
}

TrainResult TrainOrClear(const Arguments& a) {
  try {
    return Train(a.options);
  } catch (const std::exception&) {
    if (a.converted >= 0) RunFolder::RemoveRefused(a.options.run, static_cast<std::size_t>(a.converted));
    throw;
  }
}

int RunTrain(Arguments a) {
  TrainOptions& options = a.options;
  // Before --print-recipe, by which `frf train` asks whether these words will do.
  if (options.net.empty() && !options.init.empty() && !options.prune && !a.net_options.empty())
    throw Error(ErrorCode::kUsage, "--net-options beside --init wants --net, the network they are of");
  if (!options.resume && !a.net_options.empty())
    options.net_options = ParseNetOptions(options.net.empty() ? "frfnet" : options.net, a.net_options);
  if (a.print_recipe) {
    const Recipe recipe = ChosenRecipe(a);
    RefuseContradictions(a, recipe);
    fmt::print("{}\n", ToJson(recipe).dump(2));
    return 0;
  }
  if (!options.resume) {
    if (options.train.spec.empty())
      throw Error(
          ErrorCode::kUsage,
          "--data is wanted (camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE, synth:COUNT), or --resume");
    options.recipe = ChosenRecipe(a);
    RefuseContradictions(a, options.recipe);
    if (!a.size.empty()) std::tie(options.height, options.width) = ParseSize(a.size, "--size");
    // Table 1 of the paper is of halved Cityscapes images.
    if (a.size.empty() && a.fit.empty() && IsPaperOnCityscapes(a)) options.height = 512, options.width = 1024;
    if (!a.fit.empty()) options.fit = a.fit == "resize" ? Fit::kResize : Fit::kNative;
    if (!a.scene_size.empty()) {
      std::tie(options.train.height, options.train.width) = ParseSize(a.scene_size, "--scene-size");
    }
  }
  const TrainResult result = TrainOrClear(a);
  if (result.rank == 0) PrintResult(result, a.json);
  return 0;
}

void AddData(CLI::App& app, Arguments& a) {
  TrainOptions& o = a.options;
  o.validation.split = "val";
  const std::string data = "Data";
  app.add_option("--data", o.train.spec, "camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE or synth:COUNT")
      ->group(data);
  app.add_option("--split", o.train.split, "train, val, test or trainval")
      ->group(data)
      ->capture_default_str();
  app.add_option("--list", o.train.list,
                 "train on the images that this file names (first word of each line); with --resume: where "
                 "the run's list is now")
      ->group(data);
  app.add_option("--val-data", o.validation.spec, "validation data, where not that of --data")->group(data);
  app.add_option("--val-split", o.validation.split, "split to validate on")
      ->group(data)
      ->capture_default_str();
  app.add_option("--val-list", o.validation.list, "validate on the images that this file names")->group(data);
  app.add_flag("--no-val", a.no_validation, "do not validate: last.ckpt is the result")->group(data);
  app.add_option("--variant", o.train.variant,
                 "cityscapes: labelIds or trainIds; synth: camvid or cityscapes classes")
      ->group(data);
  app.add_option("--scene-size", a.scene_size, "synth: HEIGHTxWIDTH of the drawn scenes; default 360x480")
      ->group(data);
  app.add_option("--data-seed", o.train.seed, "synth: the first scene's seed")
      ->group(data)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--val-data-seed", o.validation.seed, "synth: the first validation scene's seed")
      ->group(data)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddRecipe(CLI::App& app, Arguments& a) {
  const std::string group = "Recipe";
  app.add_option(
         "--recipe", a.recipe,
         fmt::format("{}, or a JSON file; --print-recipe shows every field", fmt::join(RecipeNames(), ", ")))
      ->group(group)
      ->capture_default_str();
  app.add_option("--set", a.set,
                 "KEY=VALUE: any field of the recipe, for instance loss.kind=ohem, phases.0.epochs=10")
      ->group(group);
  app.add_option("--epochs", a.epochs, "all phases together, shortened in proportion; 0: the recipe's")
      ->group(group)
      ->capture_default_str();
  app.add_option("--batch", a.batch, "images a step; 0: the recipe's")->group(group)->capture_default_str();
  app.add_option("--lr", a.rate, "highest learning rate; 0: the recipe's")
      ->group(group)
      ->capture_default_str();
  app.add_option("--crop", a.crop,
                 "HEIGHTxWIDTH of the training crops; default: the images' size, at most 512x1024")
      ->group(group);
  app.add_option("--scale", a.scale, "LOW,HIGH of the random size change; default: the recipe's")
      ->group(group);
  app.add_option("--val-every", a.validate_every, "epochs between validations; 0: the recipe's")
      ->group(group)
      ->capture_default_str();
  app.add_option("--seed", a.options.seed, "every random choice derives from it")
      ->group(group)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--print-recipe", a.print_recipe, "print the recipe as JSON and stop")->group(group);
}

void AddNetwork(CLI::App& app, Arguments& a) {
  std::vector<std::string> names;
  for (const NetEntry& net : ListNets()) names.push_back(net.name);
  const std::string group = "Network";
  app.add_option("--net", a.options.net,
                 fmt::format("{}; default: that of --init, else frfnet", fmt::join(names, ", ")))
      ->group(group);
  app.add_option("--net-options", a.net_options, "KEY=VALUE,...: options of the network (frf info --list)")
      ->group(group);
  app.add_option("--init", a.options.init,
                 "start from weights (run folder, checkpoint, ONNX file or name of shipped ones): layers "
                 "that fit are kept, the classifier is "
                 "redrawn where classes differ")
      ->group(group);
  app.add_flag(
         "--prune", a.options.prune,
         "--init is a larger network of the family: the channels that matter most are kept, each "
         "convolution is fitted to make of them what the larger one's did, then training goes on; recipe "
         "`prune` unless another is named")
      ->group(group);
  app.add_option("--teacher", a.options.teachers,
                 "learn from this trained network's answers beside the labels (distillation): run folder, "
                 "checkpoint, ONNX file or name of shipped weights; given again: from the mean of all. Same "
                 "classes, any network; loss.distillation is its share")
      ->group(group)
      ->allow_extra_args(false);
  app.add_option(
         "--qat", a.options.qat,
         "fine-tune this int8 file (frf quantize) under its rounding; --init may name the float model "
         "that it was made of, default: its own integers; recipe `qat` unless another is named")
      ->group(group);
  app.add_option("--size", a.size,
                 "HEIGHTxWIDTH to which images are resized, in training, validation and use; default: the "
                 "data's")
      ->group(group);
  app.add_option("--fit", a.fit,
                 "what to do with images of another size; default: resize where all have one size or "
                 "--size is given")
      ->group(group)
      ->check(CLI::IsMember({"resize", "native"}));
}

// What a run trains comes from its config.json: an option that says otherwise would be ignored, so it is
// refused.
void RefuseWithResume(CLI::App& app) {
  for (const char* name :
       {"--net",    "--net-options", "--init",      "--prune",      "--teacher",   "--qat",
        "--recipe", "--set",         "--epochs",    "--batch",      "--lr",        "--crop",
        "--scale",  "--seed",        "--val-every", "--size",       "--fit",       "--split",
        "--no-val", "--val-split",   "--variant",   "--scene-size", "--data-seed", "--val-data-seed"}) {
    if (app.count(name) > 0) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format(
              "{} cannot be given with --resume: the run's config.json decides; start a new run to change it",
              name));
    }
  }
}

bool IsDrawn(const std::string& spec) { return spec.starts_with("synth:"); }

// What would do nothing is refused.
void RefuseIgnored(const CLI::App& app, const TrainOptions& options) {
  const std::string& data = options.train.spec;
  const std::string& scored = options.validation.spec.empty() ? data : options.validation.spec;
  CheckVariant(options.train.variant, {data, scored});
  const auto refuse = [&](const char* option, bool ignored, const char* why) {
    if (ignored && app.count(option) > 0) throw Error(ErrorCode::kUsage, fmt::format("{} {}", option, why));
  };
  const char* const drawn = "is of drawn scenes (synth:COUNT)";
  refuse("--data-seed", !IsDrawn(data), drawn);
  refuse("--scene-size", !IsDrawn(data) && !IsDrawn(scored), drawn);
  refuse("--val-data-seed", !IsDrawn(scored), drawn);
  for (const char* option : {"--val-data", "--val-split", "--val-list", "--val-data-seed", "--val-every"})
    refuse(option, !options.validate, "does not go with --no-val");
}

// The file says what is trained.
void PrepareQat(CLI::App& app, Arguments& a) {
  for (const char* name : {"--net", "--net-options", "--init", "--prune"}) {
    if (app.count(name) > 0) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} cannot be given with --qat: the file says which network it is", name));
    }
  }
  if (app.count("--recipe") == 0) a.recipe = "qat";
}

void AddDistributed(CLI::App& app, Arguments& a) {
  const std::string group = "Several processes (torchrun, Slurm, Kubeflow: docs/training.md)";
  app.add_option(
         "--dist", a.options.dist,
         "auto: as the launcher's variables say, Gloo between CPUs, NCCL between GPUs; gloo; nccl; off: "
         "this process alone")
      ->group(group)
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "off", "gloo", "nccl"}));
  app.add_option("--dist-timeout", a.options.dist_timeout,
                 "seconds without an answer from the other processes after which the run stops")
      ->group(group)
      ->capture_default_str();
}

void AddMachine(CLI::App& app, Arguments& a) {
  TrainOptions& o = a.options;
  const std::string group = "Machine";
  app.add_option("--device", o.device, "auto, cpu, cuda, cuda:N")->group(group)->capture_default_str();
  app.add_option("--amp", o.amp, "number format of the forward pass: auto, off, bf16, f16")
      ->group(group)
      ->capture_default_str();
  app.add_flag("--cuda-graph,!--no-cuda-graph", o.cuda_graph,
               "CUDA: both passes of a step as one graph (default)")
      ->group(group);
  app.add_option("--threads", o.threads, "threads of the computation; 0: one a core")
      ->group(group)
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--workers", o.workers,
                 "threads that read and augment images; results do not depend on them")
      ->group(group)
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app.add_option("--checkpoint-every", o.checkpoint_seconds,
                 "seconds between checkpoints within an epoch; each epoch ends with one")
      ->group(group)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--stop-after", o.stop_after_steps,
                 "save and stop after so many steps of the run; 0: do not")
      ->group(group)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

}  // namespace

void AddTrain(CLI::App& root, Action& action) {
  auto* app = root.add_subcommand("train", kAbout);
  auto arguments = std::make_shared<Arguments>();
  app->footer(kExamples);
  app->add_option("-o,--output", arguments->options.run, "run folder");
  app->add_flag("--resume", arguments->options.resume,
                "go on with the run in -o; what it trains comes from its config.json");
  app->add_flag("--json", arguments->json, "print the result as JSON on standard output");
  app->add_option("--converted", arguments->converted)->group("");  // not for people
  AddData(*app, *arguments);
  AddNetwork(*app, *arguments);
  AddRecipe(*app, *arguments);
  AddMachine(*app, *arguments);
  AddDistributed(*app, *arguments);
  app->callback([app, arguments, &action] {
    if (arguments->options.resume) RefuseWithResume(*app);
    if (!arguments->options.resume && !arguments->options.train.spec.empty()) {
      arguments->options.validate = !arguments->no_validation;
      RefuseIgnored(*app, arguments->options);
    }
    if (arguments->options.prune && app->count("--recipe") == 0) arguments->recipe = "prune";
    if (!arguments->options.qat.empty()) PrepareQat(*app, *arguments);
    action = [arguments] { return RunTrain(*arguments); };
  });
}

}  // namespace frf::train
