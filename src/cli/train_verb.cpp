// SPDX-License-Identifier: Apache-2.0
// `frf train` is served by frf-train, which links libtorch: this process is replaced by it, so signals and exit codes pass.
// Subtle: the two programs share file formats, so one built from another commit is refused before it starts.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "base/version.h"
#include "cli/cli.h"
#include "frf/error.h"
#include "graph/weights.h"

namespace frf::cli {
namespace {

std::string FindTrainProgram() {
  const auto folder = ProgramFolder();
  for (const auto& candidate : {folder / "frf-train", folder / ".." / "libexec" / "frf" / "frf-train"}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal().string();
  }
  throw Error(ErrorCode::kNotFound, fmt::format("frf-train is not beside frf ({}): this verb needs libtorch; build it with "
                                                "-DFRF_TRAIN=ON (make test does)", folder.string()));
}

std::string CommitOf(const std::string& program) {
  const std::string command = fmt::format("'{}' --commit 2>/dev/null", program);
  std::array<char, 128> line{};
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  const char* got = std::fgets(line.data(), line.size(), pipe);
  ::pclose(pipe);
  std::string commit = got != nullptr ? got : "";
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  return commit;
}

// --init MODEL.onnx or the name of shipped weights: frf-train reads no ONNX, so it gets a checkpoint of the same weights. It
// lies in the temporary folder under a name made from the model's and is replaced by the next one.
void ConvertInit(std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool joined = words[i].starts_with("--init=");
    if (!joined && (words[i] != "--init" || i + 1 == words.size())) continue;
    std::string& value = joined ? words[i] : words[i + 1];
    const std::string name = joined ? value.substr(7) : value;
    if (std::filesystem::is_directory(name) || name.ends_with(".ckpt")) continue;
    const Model model = ReadOnnx(FindModel(name));
    const auto checkpoint = std::filesystem::temp_directory_path() / fmt::format("frf-init-{}-{}.ckpt", ::getuid(), std::filesystem::path(name).stem().string());
    SaveWeights(checkpoint.string(), model.graph, ToJson(model.info));
    value = (joined ? "--init=" : "") + checkpoint.string();
  }
}

}  // namespace

void ExecTrain(const std::vector<std::string>& arguments) {
  const std::string program = FindTrainProgram();
  const std::string theirs = CommitOf(program);
  if (theirs != Commit()) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{} was built from commit {}, frf from {}: build both again", program,
                                                     theirs.empty() ? "unknown" : theirs, Commit()));
  }
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  throw Error(ErrorCode::kIo, fmt::format("{}: cannot start: {}", program, std::strerror(errno)));
}

void AddTrain(CLI::App& root, Action& action) {
  CLI::App* app = root.add_subcommand("train", "train a network (frf-train, needs libtorch); see frf train --help");
  app->prefix_command();
  app->set_help_flag();  // frf-train answers --help
  app->callback([app, &action] {
    action = [arguments = app->remaining()]() -> int {
      std::vector<std::string> all{"train"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      ConvertInit(all);
      ExecTrain(all);
    };
  });
}

}  // namespace frf::cli
