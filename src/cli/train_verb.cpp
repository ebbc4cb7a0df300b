// SPDX-License-Identifier: Apache-2.0
// `frf train` is served by frf-train, which links libtorch: this process is replaced by it, so signals and
// exit codes pass. Subtle: the two programs share file formats, so one built from another commit is refused
// before it starts.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/qat.h"
#include "frf/error.h"
#include "graph/weights.h"

namespace frf::cli {
namespace {

std::string FindTrainProgram() {
  const auto folder = ProgramFolder();
  for (const auto& candidate : {folder / "frf-train", folder / ".." / "libexec" / "frf" / "frf-train"}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal().string();
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("frf-train is not beside frf ({}): this verb needs libtorch; build it with "
                          "-DFRF_TRAIN=ON (make test does)",
                          folder.string()));
}

std::string CommitOf(const std::string& program) {
  std::string quoted = "'";  // for sh, which ends a quotation at every apostrophe
  for (const char letter : program) quoted += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  const std::string command = quoted + "' --commit 2>/dev/null";
  std::array<char, 128> line{};
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  const char* got = std::fgets(line.data(), line.size(), pipe);
  ::pclose(pipe);
  std::string commit = got != nullptr ? got : "";
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  return commit;
}

// "--name=value" and "-nvalue" become two words; `joined`: "--name=" or "-n".
void SplitJoined(std::vector<std::string>& words, const std::string& joined) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with(joined) || words[i] == joined) continue;
    words.insert(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words[i].substr(joined.size()));
    words[i] = joined.ends_with("=") ? joined.substr(0, joined.size() - 1) : joined;
  }
}

// The word behind `name`, or null.
std::string* ValueOf(std::vector<std::string>& words, const std::string& name) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == name) return &words[i + 1];
  }
  return nullptr;
}

// What -o names; it must not hold a run yet.
std::string NewRunFolder(std::vector<std::string>& words) {
  const std::string* run = ValueOf(words, "-o");
  if (run == nullptr) run = ValueOf(words, "--output");
  if (run == nullptr) throw Error(ErrorCode::kUsage, "no run folder: name one with -o RUN");
  if (std::filesystem::exists(*run + "/config.json")) {
    throw Error(ErrorCode::kUsage,
                *run + ": holds a run already; name another folder, or go on with it by --resume alone");
  }
  return *run;
}

// Then frf-train refuses what else is given.
bool Resumes(const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), "--resume") != words.end();
}

// --qat Q.onnx: frf-train gets the file's weights and codings as RUN/qat.ckpt. --init is answered here: it
// names the float model that the file was made of.
void ConvertQat(std::vector<std::string>& words) {
  std::string* const file = ValueOf(words, "--qat");
  if (file == nullptr || file->ends_with(".ckpt") || Resumes(words)) return;
  const std::string run = NewRunFolder(words);
  const std::string* const init = ValueOf(words, "--init");
  const std::string start = run + "/qat.ckpt";
  const QatStart read = ReadQatStart(*file, init != nullptr ? *init : "");
  MakeFolder(run);
  SaveWeights(start, read.graph, ToJson(read.info), {{"quantization", ToJson(read.table)}});
  *file = start;
  if (init != nullptr) {
    const auto at = std::find(words.begin(), words.end(), "--init");
    words.erase(at, at + 2);
  }
}

bool IsForTrain(const std::string& weights) {
  return std::filesystem::is_directory(weights) || weights.ends_with(".ckpt");
}

// frf-train reads no ONNX: it gets a checkpoint of the same weights, which stays with the run as
// RUN/NAME.ckpt.
void ConvertWeights(std::vector<std::string>& words, std::string& value, const std::string& option,
                    const std::string& name) {
  const std::string file = FindModel(value);
  const Model model = ReadOnnx(file);
  if (model.info.weights == "int8") {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: holds 8-bit integers; --qat {} fine-tunes it, {} wants the "
                            "float model",
                            value, value, option));
  }
  const std::string run = NewRunFolder(words);
  MakeFolder(run);
  const std::string checkpoint = fmt::format("{}/{}.ckpt", run, name);
  SaveWeights(checkpoint, model.graph, ToJson(model.info),
              {{"name", std::filesystem::path(file).stem().string()}});
  value = checkpoint;
}

// --init and --teacher: MODEL.onnx or the name of shipped weights.
void ConvertInitAndTeachers(std::vector<std::string>& words) {
  if (Resumes(words)) return;
  std::string* const init = ValueOf(words, "--init");
  if (init != nullptr && !IsForTrain(*init)) ConvertWeights(words, *init, "--init", "init");
  int teachers = 0;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] != "--teacher") continue;
    ++teachers;
    std::string& value = words[i + 1];
    if (!IsForTrain(value)) ConvertWeights(words, value, "--teacher", fmt::format("teacher-{}", teachers));
  }
}

}  // namespace

void ExecTrain(const std::vector<std::string>& arguments) {
  const std::string program = FindTrainProgram();
  const std::string theirs = CommitOf(program);
  if (theirs != Commit()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} was built from commit {}, frf from {}: build both again", program,
                            theirs.empty() ? "unknown" : theirs, Commit()));
  }
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  throw Error(ErrorCode::kIo, fmt::format("{}: cannot start: {}", program, std::strerror(errno)));
}

void AddTrain(CLI::App& root, Action& action) {
  CLI::App* app =
      root.add_subcommand("train", "train a network (frf-train, needs libtorch); see frf train --help");
  app->prefix_command();
  app->set_help_flag();  // frf-train answers --help
  app->callback([app, &action] {
    action = [arguments = app->remaining()]() -> int {
      std::vector<std::string> all{"train"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      for (const char* name : {"--qat=", "--init=", "--teacher=", "--output=", "-o"}) SplitJoined(all, name);
      ConvertQat(all);
      ConvertInitAndTeachers(all);
      ExecTrain(all);
    };
  });
}

}  // namespace frf::cli
