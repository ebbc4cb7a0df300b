// SPDX-License-Identifier: Apache-2.0
// What the verbs of `frf` share. A verb is one file with one Add function: it declares its options and sets
// `action`, which main runs after parsing.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage. With --json standard output carries exactly one JSON document.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/model_info.h"
#include "data/dataset.h"
#include "frf/image.h"
#include "onnx/onnx_file.h"

namespace frf::cli {

using Action = std::function<int()>;

void AddSegment(CLI::App& root, Action& action);
void AddEval(CLI::App& root, Action& action);
void AddInfo(CLI::App& root, Action& action);
void AddExport(CLI::App& root, Action& action);
void AddData(CLI::App& root, Action& action);
void AddSynth(CLI::App& root, Action& action);
void AddDemo(CLI::App& root, Action& action);
void AddBench(CLI::App& root, Action& action);
void AddQuantize(CLI::App& root, Action& action);
void AddTrain(CLI::App& root, Action& action);

// As CLI::Range of real numbers, which NaN passes.
CLI::Validator Between(double low, double high);
// As CLI::NonNegativeNumber, whose message names the largest double in 300 digits.
CLI::Validator AtLeastZero();
// Of --max-memory: as many MiB as bytes have a 64-bit number.
CLI::Validator Mebibytes();

// Prints one JSON document, indented, on standard output.
void PrintJson(const Json& json);

// Whether frf knows a network of this name (`frf info --list`).
bool IsNet(const std::string& name);
std::vector<std::string> NetNames();

// A run folder's graph with its weights: config.json and a checkpoint's averaged ("ema") or last ("raw")
// weights.
Model LoadRun(const std::string& folder, bool raw, bool last);

// Whether a model's name stands for a run folder: not where shipped weights have the name and the folder of
// that name holds no run.
bool NamesRun(const std::string& name);

// A model from an ONNX file, the name of shipped weights or a run folder.
Model LoadModel(const std::string& name);

// A network by name with random weights whose activations have sane statistics, so that times are of real
// values.
struct RandomNet {
  std::string name, options, classes = "camvid";  // options as --net-options; classes: camvid or cityscapes
  std::uint64_t seed = 0;
};
Model RandomModel(const RandomNet& net);

// As LoadModel; a file without frf.* keys too, with classes and pre-processing made up, which do for times
// and counts.
Model LoadForeign(const std::string& name);

// The graph to count: as the network defines it where the model says which one it is, else as it stands.
Graph GraphAsDefined(const Model& model);

// kUsage where --size names another length for a side that the file of that name fixes (0: free).
void CheckKeepsFixedSides(const std::string& name, std::pair<int, int> size, std::pair<int, int> fixed);

// A drawn street as a network's input, 1 x 3 x height x width.
Tensor StreetInput(const InputSpec& input, int height, int width);

// The instruction set of the kernels that run: the machine's, unless FRF_FORCE_ISA names another, which it
// says.
std::string IsaInUse();

// "I/N" with 0 <= I < N; empty: from Slurm's or Kubernetes' job index, else {0, 1}.
std::pair<int, int> ParseShard(const std::string& text);

// The ids as label files hold them (frf.label_ids), void kept.
LabelImage ToLabelIds(const LabelImage& labels, const Classes& classes);

// Files by what they are, not by their names: through links, "./" and other spellings. As
// std::filesystem::equivalent, for thousands. What is not there is in no set.
class FileSet {
 public:
  void Add(const std::filesystem::path& path);
  bool Has(const std::filesystem::path& path) const;

 private:
  std::set<std::pair<std::uint64_t, std::uint64_t>> ids_;  // device and number
};

// The files that a command reads, whose place none of its outputs may take.
class InputFiles {
 public:
  InputFiles& Add(const std::filesystem::path& file);
  InputFiles& AddModel(
      const std::string& name);  // a file, shipped weights or a run folder; a network's name is none
  // Lists, a pack, classes.json, and what `data` has (nullptr: not opened).
  InputFiles& AddData(const DatasetSpec& spec, const Dataset* data = nullptr);
  // kUsage where `output`, which `option` names, is one of them. Devices may be both.
  void Refuse(const std::filesystem::path& output, const std::string& option) const;

 private:
  FileSet files_;
};

// Whether `file`, which `option` names, can be written, asked before hours of work: kUsage for a folder, kIo
// where its own folder does not exist or takes no files.
void CheckOutputFile(const std::string& file, const std::string& option);
// As above for a model or a pack (`kind`) that -o names: no input's place, nor a picture's name, a slip that
// would cost a mask or a photograph.
void CheckOutputFile(const std::string& file, const std::string& kind, const InputFiles& inputs);

// Replaces this process by frf-train with `arguments`; refuses one built from another commit. Returns only by
// throwing.
[[noreturn]] void ExecTrain(const std::vector<std::string>& arguments);

}  // namespace frf::cli
