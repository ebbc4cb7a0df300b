// SPDX-License-Identifier: Apache-2.0
// A peer as a contestant: its files, its process, and the steps around its inference that frf has inside.
// Subtle: "to labels" a peer may take the plain file (normalisation before it and argmax behind it are ours,
// written well, and counted) or the file with 8-bit input and labels as output. Both are tried, the faster
// one is measured.
#include "cli/bench_peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "base/files.h"
#include "cli/bench.h"
#include "cli/bench_convert.h"
#include "frf/error.h"
#include "graph/output.h"

namespace frf::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kLoadSeconds = 300, kRunSeconds = 120;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "frf-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorCode::kIo, fmt::format("{}: cannot be made", pattern));
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// VENV/lib/python3.x/site-packages/SUB/NAME*; throws kNotFound.
fs::path FindInVenv(const fs::path& venv, const std::string& engine, const std::string& sub,
                    const std::string& name) {
  std::error_code ignored;
  for (const fs::directory_entry& python : fs::directory_iterator(venv / "lib", ignored)) {
    for (const fs::directory_entry& file :
         fs::directory_iterator(python.path() / "site-packages" / sub, ignored)) {
      if (file.path().filename().string().starts_with(name)) return file.path();
    }
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("{} is not in {}; make peers installs it", engine, venv.string()));
}

std::vector<std::string> CommandFor(const PeerOptions& options) {
  if (options.engine == "ncnn") {
    const fs::path python = options.venv / "bin" / "python";
    if (!fs::exists(python))
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{} is not there; make peers installs it", python.string()));
    return {python.string(), "-c", kNcnnProgram};
  }
  const fs::path library =
      options.engine == "onnxruntime"
          ? FindInVenv(options.venv, "onnxruntime", "onnxruntime/capi", "libonnxruntime.so")
          : FindInVenv(options.venv, "openvino", "openvino/libs", "libopenvino_c.so");
  return {"/proc/self/exe", "bench", "--serve-peer", options.engine, "--library", library.string()};
}

struct FileForm {
  WriteOptions write;
  bool bytes_in = false, labels_out = false;
  std::string name(bool to_labels) const {
    if (labels_out) return bytes_in ? "8-bit in, labels out" : "float in, labels out";
    return to_labels ? "scores out, argmax behind" : "float in, scores out";
  }
};

std::vector<FileForm> FormsFor(const BenchCase& bench_case, const std::string& engine) {
  const std::pair size{bench_case.height, bench_case.width};
  std::vector<FileForm> forms{{{.size = size}, bench_case.bytes_in(), bench_case.gives_labels()}};
  const bool has_both = bench_case.bytes_in() && bench_case.gives_labels();
  if (bench_case.to_labels && !has_both && engine != "ncnn") {
    forms.push_back({{.size = size, .argmax = true, .uint8_input = true}, true, true});
  }
  return forms;
}

PeerTensor ParseTensor(const std::vector<std::string>& words) {
  PeerTensor tensor;
  if (words.size() != 2) throw Error(ErrorCode::kInternal, "it did not say what it gives");
  tensor.type = words[0];
  for (const char* at = words[1].c_str(); *at != '\0';) {
    char* end = nullptr;
    tensor.shape.push_back(std::strtoll(at, &end, 10));
    if (end == at) break;
    at = *end == 'x' ? end + 1 : end;
  }
  return tensor;
}

template <typename Work>
double Milliseconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

class Peer : public Contestant {
 public:
  Peer(const BenchCase& bench_case, const PeerOptions& options, const FileForm& form)
      : case_(bench_case), form_(form), process_(CommandFor(options), folder_.path() / "log") {
    engine = options.engine;
    if (engine.ends_with("-bf16")) precision = Precision::kBfloat16;
    threads = bench_case.threads;
    version = process_.Ask({}, "ready", kLoadSeconds).at(0);
    file = form.name(bench_case.to_labels);
    const fs::path model = folder_.path() / "model.onnx", input = folder_.path() / "input",
                   output = folder_.path() / "output";
    Model alone = bench_case.model;  // peers compute and give the output that frf uses, and no other
    alone.graph = WithMainOutputOnly(alone.graph);
    WriteOnnx(alone, model.string(), form.write);
    const std::size_t count = std::size_t{3} * bench_case.height * bench_case.width;
    input_ = SharedBytes(input, form.bytes_in ? count : count * sizeof(float));
    FillInput();
    tensor_ = ParseTensor(process_.Ask(
        {"load", model, input, output, form.bytes_in ? "u8" : "f32", std::to_string(bench_case.height),
         std::to_string(bench_case.width), std::to_string(bench_case.threads)},
        "ok", kLoadSeconds));
    CheckOutput();
    output_ = SharedBytes(output, 0);
    labels_.resize(static_cast<std::size_t>(height_) * width_);
    std::error_code ignored;  // they live on in memory; a run that is broken off leaves nothing large behind
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().filename() != "log") fs::remove(entry.path(), ignored);
    }
  }

  double Run() override {
    double milliseconds = 0;
    if (case_.to_labels) {
      milliseconds += Milliseconds([&] { FillInput(); });
      WaitUntilQuiet({0});
    }
    milliseconds += std::strtod(process_.Ask({"run"}, "ms", kRunSeconds).at(0).c_str(), nullptr);
    if (case_.to_labels && !form_.labels_out) {
      WaitUntilQuiet({process_.id()});
      milliseconds += Milliseconds([&] { ArgMaxOutput(); });
    }
    return milliseconds;
  }

  void Read(FrameResult& result) override {
    result.height = height_, result.width = width_, result.classes = classes_;
    if (form_.labels_out)
      TakeLabels();
    else if (!case_.to_labels)
      ArgMaxOutput();
    result.labels = labels_;
    if (case_.to_labels) return;
    const auto* scores = static_cast<const float*>(output_.data());
    result.scores.assign(scores, scores + static_cast<std::size_t>(classes_) * height_ * width_);
  }

  int process() const override { return process_.id(); }

 private:
  void FillInput() {
    if (form_.bytes_in)
      return PlanarBytes(case_.picture.view(), static_cast<std::uint8_t*>(input_.data()), case_.threads);
    PlanarFloats(case_.picture.view(), case_.model.info.input, static_cast<float*>(input_.data()),
                 case_.threads);
  }

  void ArgMaxOutput() {
    ArgMax(static_cast<const float*>(output_.data()), classes_, std::int64_t{height_} * width_,
           labels_.data(), case_.threads);
  }

  template <typename T>
  void TakeLabelsOf() {
    const T* ids = static_cast<const T*>(output_.data());
    for (std::size_t i = 0; i < labels_.size(); ++i) labels_[i] = static_cast<std::uint8_t>(ids[i]);
  }
  void TakeLabels() {
    if (tensor_.type == "u8" || tensor_.type == "bool")
      TakeLabelsOf<std::uint8_t>();
    else if (tensor_.type == "i32")
      TakeLabelsOf<std::int32_t>();
    else
      TakeLabelsOf<std::int64_t>();
  }

  void CheckOutput() {
    const std::vector<std::int64_t>& shape = tensor_.shape;
    const bool scores = tensor_.type == "f32";
    if (scores == form_.labels_out || shape.size() < 2 || (scores && shape.size() != 4)) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("it gives {} {}, {} were wanted", tensor_.type, fmt::join(shape, "x"),
                              form_.labels_out ? "labels" : "scores"));
    }
    height_ = static_cast<int>(shape[shape.size() - 2]), width_ = static_cast<int>(shape.back());
    classes_ = scores ? static_cast<int>(shape[1]) : 0;
    if (case_.to_labels && (height_ != case_.height || width_ != case_.width)) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("the model gives {}x{} for {}x{}: compare with --to scores", height_, width_,
                              case_.height, case_.width));
    }
  }

  const BenchCase& case_;
  FileForm form_;
  TemporaryFolder folder_;
  PeerProcess process_;
  SharedBytes input_, output_;
  PeerTensor tensor_;
  int height_ = 0, width_ = 0, classes_ = 0;
  std::vector<std::uint8_t> labels_;
};

// In turns, one frame to warm up, then 15 that count or as many as two seconds hold, three at least: the one
// with the smaller median stays, or the one that runs at all.
std::unique_ptr<Peer> Faster(std::unique_ptr<Peer> a, std::unique_ptr<Peer> b) {
  const std::vector<int> processes{0, a->process(), b->process()};
  std::vector<double> times[2];
  double spent = 0;
  for (int round = 0; round < 4 || (round < 16 && spent < 2000); ++round) {
    for (std::unique_ptr<Peer>* peer : {&a, &b}) {
      WaitUntilQuiet(processes);
      try {
        const double milliseconds = (*peer)->Run();
        spent += milliseconds;
        if (round > 0) times[peer == &b].push_back(milliseconds);
      } catch (const Error&) {
        return std::move(peer == &a ? b : a);
      }
    }
  }
  return Summarize(times[0]).median <= Summarize(times[1]).median ? std::move(a) : std::move(b);
}

}  // namespace

const std::vector<std::string>& PeerNames() {
  static const std::vector<std::string> names{"onnxruntime", "openvino", "openvino-bf16", "ncnn"};
  return names;
}

fs::path FindPeersVenv(const std::string& given) {
  const char* from_environment = std::getenv("FRF_PEERS_VENV");
  const std::string named = !given.empty() ? given : from_environment != nullptr ? from_environment : "";
  if (!named.empty()) {
    if (fs::is_directory(named)) return named;
    throw Error(ErrorCode::kUsage, fmt::format("{} {}: there is no such folder",
                                               given.empty() ? "FRF_PEERS_VENV" : "--venv", named));
  }
  std::vector<fs::path> folders{fs::current_path()};
  for (fs::path folder = ProgramFolder(); folder != folder.root_path(); folder = folder.parent_path())
    folders.push_back(folder);
  for (const fs::path& folder : folders) {
    if (fs::is_directory(folder / ".venv-peers")) return folder / ".venv-peers";
  }
  return {};
}

std::unique_ptr<Contestant> MakePeer(const BenchCase& bench_case, const PeerOptions& options) {
  std::vector<std::unique_ptr<Peer>> ready;
  std::string errors;
  for (const FileForm& form : FormsFor(bench_case, options.engine)) {
    try {
      ready.push_back(std::make_unique<Peer>(bench_case, options, form));
    } catch (const Error& error) {
      if (errors.find(error.what()) != std::string::npos) continue;  // the same for both files
      errors += fmt::format("{}{}", errors.empty() ? "" : "; ", error.what());
    }
  }
  if (ready.empty()) throw Error(ErrorCode::kUnsupported, errors);
  if (ready.size() == 1) return std::move(ready.front());
  return Faster(std::move(ready[0]), std::move(ready[1]));
}

}  // namespace frf::cli
