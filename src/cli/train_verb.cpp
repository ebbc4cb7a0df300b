// SPDX-License-Identifier: Apache-2.0
// `frf train` is served by frf-train, which links libtorch: this process is replaced by it, so signals and
// exit codes pass. Subtle: the two programs share file formats, so one built from another commit is refused
// before it starts. What frf-train refuses must leave nothing behind, so its own parser sees the words before
// files are converted for it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/version.h"
#include "base/world.h"
#include "cli/cli.h"
#include "cli/qat.h"
#include "data/dataset.h"
#include "frf/error.h"
#include "graph/weights.h"
#include "nets/nets.h"

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

// frf-train, built from this program's commit.
std::string TrainProgram() {
  const std::string program = FindTrainProgram();
  const std::string theirs = CommitOf(program);
  if (theirs != Commit()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} was built from commit {}, frf from {}: build both again", program,
                            theirs.empty() ? "unknown" : theirs, Commit()));
  }
  return program;
}

std::vector<char*> ArgumentsOf(const std::string& program, const std::vector<std::string>& words) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  return argv;
}

[[noreturn]] void Exec(const std::string& program, const std::vector<std::string>& words) {
  ::execv(program.c_str(), ArgumentsOf(program, words).data());
  throw Error(ErrorCode::kIo, fmt::format("{}: cannot start: {}", program, std::strerror(errno)));
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

// Of several processes (torchrun, Slurm, Kubeflow) the first alone reads files and writes the run folder; the
// others only name what it makes there.
bool IsFirst(std::vector<std::string>& words) {
  const std::string* const dist = ValueOf(words, "--dist");
  return (dist != nullptr && *dist == "off") || WorldFromEnvironment().rank == 0;
}

// What -o names.
std::string RunFolderOf(std::vector<std::string>& words) {
  const std::string* run = ValueOf(words, "-o");
  if (run == nullptr) run = ValueOf(words, "--output");
  if (run == nullptr || run->empty()) throw Error(ErrorCode::kUsage, "no run folder: name one with -o RUN");
  return *run;
}

bool Has(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool IsForTrain(const std::string& weights) {
  return std::filesystem::is_directory(weights) || weights.ends_with(".ckpt");
}

bool ConvertsQat(std::vector<std::string>& words) {
  const std::string* const file = ValueOf(words, "--qat");
  return file != nullptr && !file->ends_with(".ckpt");
}

// Whether files have to be converted: not where frf-train only prints, nor with --resume, where it refuses
// what else is given.
bool Converts(std::vector<std::string>& words) {
  for (const char* word : {"--resume", "--help", "-h", "--print-recipe"}) {
    if (Has(words, word)) return false;
  }
  bool any = ConvertsQat(words);
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    any |= (words[i] == "--init" || words[i] == "--teacher") && !IsForTrain(words[i + 1]);
  return any;
}

// Exit code of frf-train for these words as far as it knows them without training (--print-recipe); where it
// refuses them its message has been printed. The data are looked for here.
int Rehearse(const std::string& program, std::vector<std::string> words) {
  if (const auto init = std::find(words.begin(), words.end(), "--init");
      ConvertsQat(words) && init + 1 < words.end())
    words.erase(init, init + 2);  // ours: see ConvertQat
  words.emplace_back("--print-recipe");
  const pid_t child = ::fork();
  if (child < 0)
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot start: {}", program, std::strerror(errno)));
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDOUT_FILENO);
    ::execv(program.c_str(), ArgumentsOf(program, words).data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) return 1;
  if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
  DatasetSpec data{.split = "train"};
  for (const auto& [name, value] : {std::pair("--data", &data.spec),
                                    {"--split", &data.split},
                                    {"--list", &data.list},
                                    {"--variant", &data.variant}}) {
    if (const std::string* given = ValueOf(words, name)) *value = *given;
  }
  if (data.spec.empty())
    throw Error(ErrorCode::kUsage,
                "--data is wanted (camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE, synth:COUNT)");
  (void)OpenDataset(data);
  return 0;
}

// A network that nobody knows is wrong usage, said before libtorch is loaded.
void CheckNet(std::vector<std::string>& words) {
  const std::string* const net = ValueOf(words, "--net");
  if (net == nullptr || IsNet(*net)) return;
  try {
    BuildNet(*net, Json::object());
  } catch (const Error& error) {
    throw Error(ErrorCode::kUsage, fmt::format("--net: {}", error.what()));
  }
}

// What is to be converted into a run folder. Everything is read before anything is written: what cannot be
// read leaves nothing behind either.
struct Conversion {
  std::string run;
  bool first = true;  // whether this process reads and writes
  std::vector<std::function<void()>> writes;
};

// --qat Q.onnx: frf-train gets the file's weights and codings as RUN/qat.ckpt. --init is answered here: it
// names the float model that the file was made of.
void ConvertQat(std::vector<std::string>& words, Conversion& to) {
  std::string* const file = ValueOf(words, "--qat");
  if (!ConvertsQat(words)) return;
  const std::string* const init = ValueOf(words, "--init");
  const std::string start = to.run + "/qat.ckpt";
  if (to.first) {
    to.writes.emplace_back([start, read = ReadQatStart(*file, init != nullptr ? *init : "")] {
      SaveWeights(start, read.graph, ToJson(read.info), {{"quantization", ToJson(read.table)}});
    });
  }
  *file = start;
  if (init != nullptr) {
    const auto at = std::find(words.begin(), words.end(), "--init");
    words.erase(at, at + 2);
  }
}

// The float model that `value` names, to be written to `checkpoint`.
void ReadWeights(const std::string& value, const std::string& option, const std::string& checkpoint,
                 Conversion& to) {
  const std::string file = FindModel(value);
  Model model = ReadOnnx(file);
  if (model.info.weights == "int8") {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: holds 8-bit integers; --qat {} fine-tunes it, {} wants the "
                            "float model",
                            value, value, option));
  }
  // Constants that the file spells out are no weights.
  const Graph defined = GraphAsDefined(model);
  std::erase_if(model.graph.initializers, [&](const Initializer& initializer) {
    const Initializer* known = defined.FindInitializer(initializer.name);
    return IsNet(model.info.net) && (known == nullptr || known->role == Role::kConstant);
  });
  const std::string stem = std::filesystem::path(file).stem().string();
  const std::string given = IsUtf8(value) ? value : Printable(value);
  to.writes.emplace_back([checkpoint, stem, given, model = std::move(model)] {
    SaveWeights(checkpoint, model.graph, ToJson(model.info),
                {{"name", IsUtf8(stem) ? stem : Printable(stem)}, {"given", given}});
  });
}

// --init and --teacher: MODEL.onnx or the name of shipped weights. frf-train reads no ONNX: it gets
// checkpoints of the same weights, which stay with the run as RUN/init.ckpt, RUN/teacher-1.ckpt, ...
void ConvertInitAndTeachers(std::vector<std::string>& words, Conversion& to) {
  const auto convert = [&](std::string& value, const std::string& option, const std::string& name) {
    if (IsForTrain(value)) return;
    const std::string checkpoint = fmt::format("{}/{}.ckpt", to.run, name);
    if (to.first) ReadWeights(value, option, checkpoint, to);
    value = checkpoint;
  };
  if (std::string* const init = ValueOf(words, "--init")) convert(*init, "--init", "init");
  int teachers = 0;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--teacher") convert(words[i + 1], "--teacher", fmt::format("teacher-{}", ++teachers));
  }
}

int RunTrain(std::vector<std::string> words) {
  for (const char* name : {"--qat=", "--init=", "--teacher=", "--output=", "--net=", "--data=", "--split=",
                           "--list=", "--variant=", "--dist=", "-o"})
    SplitJoined(words, name);
  CheckNet(words);
  const std::string program = TrainProgram();
  if (Converts(words)) {
    Conversion to{.first = IsFirst(words)};
    if (const int refused = to.first ? Rehearse(program, words) : 0; refused != 0) return refused;
    to.run = RunFolderOf(words);
    if (to.first && std::filesystem::exists(to.run + "/config.json")) {
      throw Error(ErrorCode::kUsage,
                  to.run + ": holds a run already; name another folder, or go on with it by --resume alone");
    }
    ConvertQat(words, to);
    ConvertInitAndTeachers(words, to);
    if (to.first) {
      // Told to frf-train, which takes away what is made here where it refuses the run.
      words.insert(words.end(), {"--converted", std::to_string(MissingFolders(to.run))});
      MakeFolder(to.run);
    }
    for (const auto& write : to.writes) write();
  }
  Exec(program, words);
}

}  // namespace

void ExecTrain(const std::vector<std::string>& arguments) { Exec(TrainProgram(), arguments); }

void AddTrain(CLI::App& root, Action& action) {
  CLI::App* app =
      root.add_subcommand("train", "train a network (frf-train, needs libtorch); see frf train --help");
  app->prefix_command();
  app->set_help_flag();  // frf-train answers --help
  app->callback([app, &action] {
    action = [arguments = app->remaining()]() -> int {
      std::vector<std::string> all{"train"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      return RunTrain(std::move(all));
    };
  });
}

}  // namespace frf::cli
