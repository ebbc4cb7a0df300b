// SPDX-License-Identifier: Apache-2.0
// `frf info MODEL|NET`: cost by layer and in sum, a picture of the graph, the list of networks; what a model
// file says of itself is in info_model.cpp, --plan in info_plan.cpp. Subtle: the graph is counted as the
// network defines it, before any lowering to ONNX, so a file that frf wrote is rebuilt from its frf.net key;
// foreign files are counted as they stand.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/system.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/info_model.h"
#include "cli/info_plan.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/output.h"
#include "graph/shapes.h"
#include "nets/nets.h"

namespace frf::cli {
namespace {

struct InfoArguments {
  std::string name, size = "512x1024", options, draw, precision = "f32";
  int classes = 0, threads = 0;
  bool list = false, train = false, json = false, all = false, plan = false, size_given = false;
};

int ListEverything(bool json) {
  Json nets = Json::array();
  for (const NetEntry& net : ListNets()) {
    Json options = Json::object();
    for (const NetOption& option : net.options) {
      options[option.name] = {
          {"default", option.default_value}, {"choices", option.choices}, {"help", option.help}};
    }
    nets.push_back(
        {{"name", net.name}, {"summary", net.summary}, {"source", net.source}, {"options", options}});
    if (json) continue;
    fmt::print("{:<20} {}\n", net.name, net.summary);
    for (const NetOption& option : net.options) {
      std::string choices;
      for (const Json& choice : option.choices) {
        choices += fmt::format("{}{}", choices.empty() ? "" : "|",
                               choice.is_string() ? choice.get<std::string>() : choice.dump());
      }
      const std::string fallback = option.default_value.is_string() ? option.default_value.get<std::string>()
                                                                    : option.default_value.dump();
      fmt::print("    {:<16} {} [{}]{}\n", option.name, option.help, fallback,
                 choices.empty() ? "" : "  " + choices);
    }
  }
  if (json) PrintJson(nets);
  return 0;
}

struct SizedGraph {
  Graph graph;
  SizePair fixed;                  // of a file; 0: that side is free
  std::optional<ModelInfo> info;   // of a model; none: a network's name, or a file without frf.* keys
  std::vector<std::string> notes;  // of a file: what its graph makes of it, a line each
};

SizedGraph GraphOf(const InfoArguments& arguments) {
  if (IsNet(arguments.name)) {
    Json options = ParseNetOptions(arguments.name, arguments.options);
    if (arguments.classes > 0 && options.value("classes", arguments.classes) != arguments.classes) {
      throw Error(ErrorCode::kUsage, fmt::format("--classes {} and --net-options classes={}: leave one out",
                                                 arguments.classes, options["classes"].dump()));
    }
    if (arguments.classes > 0) options["classes"] = arguments.classes;
    return {BuildNet(arguments.name, options), {}, {}, {}};
  }
  const bool run = NamesRun(arguments.name);
  const Model model = run ? LoadRun(arguments.name, false, false)
                          : ReadOnnx(FindModel(arguments.name, NetNames()), {.require_stamp = false});
  const std::string fault = ImageInputFault(model.graph);
  if (ChannelsComeLast(model.graph.inputs[0]))
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: {}", arguments.name, fault));
  SizedGraph sized{GraphAsDefined(model),
                   run ? SizePair{} : FixedSides(model.graph),
                   model.stamped ? std::optional(model.info) : std::nullopt,
                   {}};
  if (!model.stamped && !run)
    sized.notes.push_back(
        "its classes and its input are not recorded; frf export --meta does (docs/formats.md)");
  if (!fault.empty()) sized.notes.push_back("frf can count it, not run it: " + fault);
  const std::string advice = OutputAdvice(model.graph);
  if (!advice.empty()) sized.notes.push_back(advice);
  return sized;
}

std::string Giga(std::int64_t macs) {
  if (macs == 0) return "";
  return macs >= 10'000'000 ? fmt::format("{:.3f} G", static_cast<double>(macs) * 1e-9)
                            : fmt::format("{:.3f} M", static_cast<double>(macs) * 1e-6);
}

void PrintTable(const Graph& graph, const Cost& cost, bool all) {
  std::size_t width = 10;
  for (const LayerCost& layer : cost.layers) width = std::max(width, layer.node.size());
  fmt::print("{:<{}}  {:<14} {:>16} {:>12} {:>11} {:>10} {:>6}\n", "layer", width, "operator", "output",
             "parameters", "MAC", "memory", "field");
  for (const LayerCost& layer : cost.layers) {
    if (!all && layer.params == 0 && layer.macs_all == 0) continue;
    fmt::print("{:<{}}  {:<14} {:>16} {:>12} {:>11} {:>10} {:>6}\n", layer.node, width, layer.op,
               ToString(layer.output), layer.params > 0 ? fmt::format("{}", layer.params) : "",
               Giga(layer.macs_all), FormatBytes(static_cast<std::uint64_t>(layer.bytes)),
               layer.receptive_field > 0 ? std::to_string(layer.receptive_field) : "image");
  }
  fmt::print("\n{}: {:.3f} M parameters, {:.3f} G multiply-accumulates of convolutions and linear layers",
             graph.name, static_cast<double>(cost.params) * 1e-6, static_cast<double>(cost.macs) * 1e-9);
  if (cost.macs_all != cost.macs)
    fmt::print(", {:.3f} G with products of maps and spectral pooling",
               static_cast<double>(cost.macs_all) * 1e-9);
  fmt::print("\nactivations {} in all, at most {} at once\n",
             FormatBytes(static_cast<std::uint64_t>(cost.activation_bytes)),
             FormatBytes(static_cast<std::uint64_t>(cost.peak_bytes)));
}

// Options that would change nothing are refused, not passed over.
void CheckGiven(const InfoArguments& arguments, const CLI::App& app) {
  const auto refuse = [&](std::initializer_list<const char*> names, const std::string& why) {
    for (const char* name : names) {
      if (app.count(name) > 0) throw Error(ErrorCode::kUsage, fmt::format("{} {}", name, why));
    }
  };
  if (!arguments.name.empty() && !IsNet(arguments.name))
    refuse({"--net-options", "--classes"}, "belongs to a network's name, not to a file");
  if (arguments.plan)
    refuse({"--draw", "--all", "--train"}, "does not go with --plan; ask for one after the other");
  else
    refuse({"--threads", "--precision"}, "goes with --plan");
}

// A picture viewer would not open an SVG called x.png. /dev/stdout and the like have no ending.
void RefuseOtherEndings(const std::string& draw) {
  const std::string ending = Lower(std::filesystem::path(draw).extension().string());
  if (!ending.empty() && ending != ".svg")
    throw Error(ErrorCode::kUsage,
                fmt::format("--draw {}: an SVG is drawn, name a file that ends in .svg", draw));
}

int RunInfo(const InfoArguments& arguments) {
  if (arguments.list) return ListEverything(arguments.json);
  if (arguments.name.empty())
    throw Error(ErrorCode::kUsage,
                "frf info wants a model file or a network's name; --list shows the networks");
  const SizePair wanted = ParseSize(arguments.size, "--size");
  if (arguments.plan) {
    return RunInfoPlan({arguments.name, arguments.options, arguments.classes, wanted.first, wanted.second,
                        arguments.size_given, arguments.threads, PrecisionNamed(arguments.precision),
                        arguments.json});
  }
  if (!arguments.draw.empty()) {
    RefuseOtherEndings(arguments.draw);
    CheckOutputFile(arguments.draw, "--draw");
  }
  auto [graph, fixed, info, notes] = GraphOf(arguments);
  const SizePair size = SizeToCount(arguments.name, fixed, wanted, arguments.size_given);
  if (!arguments.train) graph = graph.ForInference();
  const TypeMap types = InferShapes(graph, size.first, size.second);
  const Cost cost = CountCost(graph, types);
  if (!arguments.draw.empty()) WriteFileAtomically(arguments.draw, DrawSvg(graph, types, cost));
  if (!arguments.json) {
    PrintTable(graph, cost, arguments.all);
    if (info) PrintModel(*info, fixed);
    for (const std::string& note : notes) fmt::print("{}\n", note);
    if (!arguments.draw.empty()) fmt::print("drawn to {}\n", arguments.draw);
    return 0;
  }
  Json layers = Json::array();
  for (const LayerCost& layer : cost.layers) {
    layers.push_back({{"name", layer.node},
                      {"op", layer.op},
                      {"output", layer.output},
                      {"params", layer.params},
                      {"macs", layer.macs},
                      {"macs_all", layer.macs_all},
                      {"bytes", layer.bytes},
                      {"receptive_field", layer.receptive_field}});
  }
  PrintJson({{"name", arguments.name},
             {"size", fmt::format("{}x{}", size.first, size.second)},
             {"params", cost.params},
             {"macs", cost.macs},
             {"macs_all", cost.macs_all},
             {"activation_bytes", cost.activation_bytes},
             {"peak_bytes", cost.peak_bytes},
             {"layers", layers},
             {"model", info ? ToJson(*info) : Json()}});
  return 0;
}

}  // namespace

void AddInfo(CLI::App& root, Action& action) {
  auto a = std::make_shared<InfoArguments>();
  CLI::App* app = root.add_subcommand("info",
                                      "parameters, multiply-accumulates, memory and receptive field by "
                                      "layer; classes, pre-processing, training "
                                      "and scores of a model; draws the graph");
  app->add_option("model", a->name,
                  "network name (frf info --list), ONNX file, run folder, or name of shipped weights");
  CLI::Option* size =
      app->add_option("--size", a->size, "input size HEIGHTxWIDTH; a file of fixed size has its own");
  app->add_option("--net-options", a->options, "of a network: name=value,name=value");
  app->add_option("--classes", a->classes, "of a network; 0: its default, 19")->check(CLI::Range(0, 255));
  app->add_option("--draw", a->draw, "write a picture of the graph to this SVG file");
  app->add_flag("--all", a->all, "every node, also those without parameters and products");
  app->add_flag("--train", a->train, "the graph as trained: auxiliary heads and dropout included");
  app->add_flag(
      "--plan", a->plan,
      "the engine's steps for this size instead: kernel, time, GFLOP/s, share of the measured peak, bytes");
  app->add_option("--threads", a->threads, "with --plan: CPU threads; 0: all cores")
      ->check(CLI::Range(0, 1024));
  app->add_option(
         "--precision", a->precision,
         "with --plan: of convolutions, f32; bf16 or f16, faster where the CPU has them (docs/deploy.md)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_flag("--list", a->list, "the networks and their options");
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer(
      "Examples: frf info frfnet-camvid\n          frf info frfnet --size 512x1024 --draw frfnet.svg\n"
      "          frf info frfnet --size 512x1024 --plan");
  app->callback([a, app, size, &action] {
    a->size_given = size->count() > 0;
    CheckGiven(*a, *app);
    action = [a] { return RunInfo(*a); };
  });
}

}  // namespace frf::cli
