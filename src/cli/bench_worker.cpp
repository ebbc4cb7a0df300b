// SPDX-License-Identifier: Apache-2.0
// The other end of a peer's pipe for runtimes with a C API: loads the library, then does as it is told.
// Subtle: whatever the library prints goes to the log; the answers have a descriptor of their own.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cli/bench_peer.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

void Answer(const std::string& line) {
  const std::string text = line + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(4, text.data() + done, text.size() - done);
    if (count <= 0) std::_Exit(1);
    done += static_cast<std::size_t>(count);
  }
}

bool ReadWords(std::FILE* from, std::vector<std::string>& words) {
  words.assign(1, "");
  for (int c; (c = std::fgetc(from)) != EOF;) {
    if (c == '\n') return true;
    if (c == '\t')
      words.emplace_back();
    else
      words.back() += static_cast<char>(c);
  }
  return false;
}

class Worker {
 public:
  explicit Worker(std::unique_ptr<PeerBackend> backend) : backend_(std::move(backend)) {}

  void Load(const std::vector<std::string>& words) {
    if (words.size() != 8) throw Error(ErrorCode::kInternal, "load wants seven words");
    const PeerTensor input{words[4], {1, 3, std::atoll(words[5].c_str()), std::atoll(words[6].c_str())}};
    input_ = SharedBytes(words[2], 0);
    if (input_.size() < input.bytes()) throw Error(ErrorCode::kInternal, "the input's file is too short");
    const PeerTensor output = backend_->Load(words[1], input, input_.data(), std::atoi(words[7].c_str()));
    output_ = SharedBytes(words[3], output.bytes());
    backend_->SetOutput(output_.data());
    Answer(fmt::format("ok\t{}\t{}", output.type, fmt::join(output.shape, "x")));
  }

  void Run() {
    const auto start = std::chrono::steady_clock::now();
    backend_->Infer();
    const auto end = std::chrono::steady_clock::now();
    Answer(fmt::format("ms\t{:.6f}", std::chrono::duration<double, std::milli>(end - start).count()));
  }

 private:
  SharedBytes input_, output_;  // outlive the backend that points at them
  std::unique_ptr<PeerBackend> backend_;
};

void Serve(const std::string& engine, const std::string& library) {
  std::unique_ptr<PeerBackend> backend =
      engine == "onnxruntime" ? OpenOnnxRuntime(library)
                              : OpenOpenVino(library, engine == "openvino-bf16" ? "bf16" : "f32");
  Answer("ready\t" + backend->version());
  Worker worker(std::move(backend));
  std::FILE* from = ::fdopen(3, "r");
  if (from == nullptr)
    throw Error(ErrorCode::kUsage, "--serve-peer is for frf itself: descriptor 3 is closed");
  for (std::vector<std::string> words; ReadWords(from, words);) {
    if (words[0] == "load")
      worker.Load(words);
    else if (words[0] == "run")
      worker.Run();
    else
      throw Error(ErrorCode::kInternal, "unknown word '" + words[0] + "'");
  }
}

std::string OneLine(std::string text) {
  for (char& c : text) c = c == '\n' || c == '\t' || c == '\r' ? ' ' : c;
  return text;
}

}  // namespace

std::size_t PeerTensor::bytes() const {
  std::size_t count = type == "u8" || type == "bool" ? 1 : type == "i64" ? 8 : 4;
  for (const std::int64_t d : shape) count *= static_cast<std::size_t>(d);
  return count;
}

void* FindSymbol(void* library, const char* name) {
  void* symbol = ::dlsym(library, name);
  if (symbol == nullptr)
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the library has no '{}'; is it another version?", name));
  return symbol;
}

int ServePeer(const std::string& engine, const std::string& library) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlives who asked for it
  try {
    Serve(engine, library);
  } catch (const std::exception& error) {
    Answer("error\t" + OneLine(error.what()));
    return 1;
  }
  std::fflush(nullptr);
  std::_Exit(0);  // the libraries' own destructors are not our business
}

}  // namespace frf::cli
