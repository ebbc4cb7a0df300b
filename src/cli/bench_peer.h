// SPDX-License-Identifier: Apache-2.0
// A peer lives in a process of its own: whatever its library does, frf goes on, and no two thread pools or
// copies of protobuf share one. Both ends speak lines of words, separated by tabs, on descriptors 3 (to the
// peer) and 4 (from it):
//
//   > load MODEL INPUT OUTPUT u8|f32 HEIGHT WIDTH THREADS     < ok TYPE DIMENSIONS   ("f32 1x11x512x1024")
//   > run                                                     < ms 123.456
//   first of all, without being asked                         < ready VERSION
//   whenever something fails                                  < error TEXT
//
// INPUT and OUTPUT are files that both ends map: planes of the image, and what the model gives. `run` times
// the inference alone. A line that never comes, or an end of file, is an error, too. A peer that failed is
// ended: still at work on its frame it would take cores from the others while they are timed.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace frf::cli {

// A file mapped for both to read and write.
class SharedBytes {
 public:
  SharedBytes() = default;
  // `bytes` 0: the file's own size; else the file is made, or brought to that size. Throws kIo.
  SharedBytes(const std::filesystem::path& path, std::size_t bytes);
  ~SharedBytes();
  SharedBytes(SharedBytes&& other) noexcept;
  SharedBytes& operator=(SharedBytes&& other) noexcept;

  void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// The other end, started with a command line; killed with the object, and as soon as it fails.
class PeerProcess {
 public:
  // What it prints goes to `log`. Throws kIo.
  PeerProcess(const std::vector<std::string>& command, const std::filesystem::path& log);
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;

  // Sends words, if any, and waits for the answer's words behind `wanted` ("ok"). Throws kInternal with the
  // peer's own error, or with how it ended; either way it has ended.
  std::vector<std::string> Ask(const std::vector<std::string>& words, const std::string& wanted,
                               double seconds);
  int id() const { return process_; }  // -1: it has ended

 private:
  std::string ReadLine(double seconds);
  std::string HowItEnded();
  void End();
  pid_t process_ = -1;
  int to_ = -1, from_ = -1;
  std::string received_;
  std::filesystem::path log_;
};

// The other end for runtimes with a C API: `frf bench --serve-peer ENGINE --library PATH`. Returns the exit
// code.
int ServePeer(const std::string& engine, const std::string& library);

// What the other end needs of such a runtime. Errors are frf::Error.
struct PeerTensor {
  std::string type;  // f32, u8, i32, i64
  std::vector<std::int64_t> shape;
  std::size_t bytes() const;
};
class PeerBackend {
 public:
  virtual ~PeerBackend() = default;
  virtual std::string version() const = 0;
  // Loads the model with `input` as its only input's memory; returns what it gives.
  virtual PeerTensor Load(const std::string& model, const PeerTensor& input, void* memory, int threads) = 0;
  virtual void SetOutput(void* memory) = 0;
  virtual void Infer() = 0;
};
std::unique_ptr<PeerBackend> OpenOnnxRuntime(const std::string& library);  // bench_onnxruntime.cpp
// bench_openvino.cpp. `precision`: its hint, "f32" or "bf16"; literals.
std::unique_ptr<PeerBackend> OpenOpenVino(const std::string& library, const char* precision);
extern const char* const kNcnnProgram;  // bench_ncnn.cpp: the other end in Python

// A symbol of a shared library; throws kUnsupported naming both.
void* FindSymbol(void* library, const char* name);

}  // namespace frf::cli
