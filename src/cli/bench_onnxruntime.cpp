// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime by its C API, of which the wheel brings no header: a table of functions whose order never
// changes, new ones being added at its end. The places used here are those of the table's version 5 (ONNX
// Runtime 1.4). Subtle: the first three places are tried with an error of our own before anything else is
// called, so that a library with another table is refused and not jumped into.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>

#include "cli/bench_peer.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

constexpr std::uint32_t kTableVersion = 5;

// Places in the table.
enum Place : int {
  kCreateStatus = 0,
  kGetErrorCode = 1,
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionExecutionMode = 13,
  kSetSessionGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithDataAsOrtValue = 49,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kGetAllocatorWithDefaultOptions = 78,
  kReleaseStatus = 93,
  kReleaseValue = 96,
  kAddSessionConfigEntry = 130,
};

// Values of the API's enumerations.
constexpr int kLogErrors = 3, kFail = 1, kSequential = 0, kAllOptimisations = 99, kArenaAllocator = 1,
              kDefaultMemory = 0;
constexpr std::pair<const char*, int> kTypes[] = {{"f32", 1}, {"u8", 2}, {"i32", 6}, {"i64", 7}, {"bool", 9}};

using Handle = void*;  // every object of theirs
using Status = void*;

struct Base {
  const void* const* (*table)(std::uint32_t version);
  const char* (*version)();
};

class OnnxRuntime : public PeerBackend {
 public:
  explicit OnnxRuntime(const std::string& path) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Error(ErrorCode::kUnsupported, ::dlerror());
    const auto get = reinterpret_cast<const Base* (*)()>(FindSymbol(library, "OrtGetApiBase"));
    const Base* base = get();
    version_ = base->version();
    table_ = base->table(kTableVersion);
    if (table_ == nullptr)
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("ONNX Runtime {} has no API of version {}", version_, kTableVersion));
    const Status test = At<Status (*)(int, const char*)>(kCreateStatus)(kFail, "a test of frf's");
    if (At<int (*)(Status)>(kGetErrorCode)(test) != kFail ||
        std::strcmp(Message(test), "a test of frf's") != 0) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("ONNX Runtime {}: its table of functions is not in the known order", version_));
    }
    At<void (*)(Status)>(kReleaseStatus)(test);
    Call<int, const char*, Handle*>(kCreateEnv, kLogErrors, "frf", &environment_);
    Call<int, int, Handle*>(kCreateCpuMemoryInfo, kArenaAllocator, kDefaultMemory, &memory_);
  }

  std::string version() const override { return version_; }

  PeerTensor Load(const std::string& model, const PeerTensor& input, void* memory, int threads) override {
    Handle options = nullptr, allocator = nullptr;
    Call<Handle*>(kCreateSessionOptions, &options);
    Call<Handle, int>(kSetSessionExecutionMode, options, kSequential);
    Call<Handle, int>(kSetSessionGraphOptimizationLevel, options, kAllOptimisations);
    Call<Handle, int>(kSetIntraOpNumThreads, options, threads);
    Call<Handle, int>(kSetInterOpNumThreads, options, 1);
    // Denormals are flushed, as frf does. Threads spin within a run, which is fastest, and stop spinning at
    // its end, which spares whoever runs next.
    Call<Handle, const char*, const char*>(kAddSessionConfigEntry, options, "session.set_denormal_as_zero",
                                           "1");
    Call<Handle, const char*, const char*>(kAddSessionConfigEntry, options, "session.force_spinning_stop",
                                           "1");
    Call<Handle, const char*, Handle, Handle*>(kCreateSession, environment_, model.c_str(), options,
                                               &session_);
    Call<Handle*>(kGetAllocatorWithDefaultOptions, &allocator);
    Call<Handle, std::size_t, Handle, char**>(kSessionGetInputName, session_, 0, allocator, &input_name_);
    Call<Handle, std::size_t, Handle, char**>(kSessionGetOutputName, session_, 0, allocator, &output_name_);
    input_ = Wrap(input, memory);
    Infer();  // into memory of its own: only now is the output's shape known for certain
    output_tensor_ = Describe(output_);
    return output_tensor_;
  }

  void SetOutput(void* memory) override {
    At<void (*)(Handle)>(kReleaseValue)(output_);
    output_ = Wrap(output_tensor_, memory);
  }

  void Infer() override {
    Call<Handle, Handle, const char* const*, const Handle*, std::size_t, const char* const*, std::size_t,
         Handle*>(kRun, session_, nullptr, &input_name_, &input_, 1, &output_name_, 1, &output_);
  }

 private:
  template <typename Function>
  Function At(Place place) const {
    return reinterpret_cast<Function>(const_cast<void*>(table_[place]));
  }

  const char* Message(Status status) const { return At<const char* (*)(Status)>(kGetErrorMessage)(status); }

  // Most of theirs return a status: null where all went well.
  template <typename... Arguments>
  void Call(Place place, std::type_identity_t<Arguments>... arguments) const {
    const Status status = At<Status (*)(Arguments...)>(place)(arguments...);
    if (status == nullptr) return;
    const std::string message = Message(status);
    At<void (*)(Status)>(kReleaseStatus)(status);
    throw Error(ErrorCode::kUnsupported, message);
  }

  Handle Wrap(const PeerTensor& tensor, void* memory) const {
    Handle value = nullptr;
    for (const auto& [name, type] : kTypes) {
      if (tensor.type != name) continue;
      Call<Handle, void*, std::size_t, const std::int64_t*, std::size_t, int, Handle*>(
          kCreateTensorWithDataAsOrtValue, memory_, memory, tensor.bytes(), tensor.shape.data(),
          tensor.shape.size(), type, &value);
    }
    return value;
  }

  PeerTensor Describe(Handle value) const {
    Handle info = nullptr;
    Call<Handle, Handle*>(kGetTensorTypeAndShape, value, &info);
    int type = 0;
    std::size_t rank = 0;
    Call<Handle, int*>(kGetTensorElementType, info, &type);
    Call<Handle, std::size_t*>(kGetDimensionsCount, info, &rank);
    PeerTensor tensor;
    tensor.shape.resize(rank);
    Call<Handle, std::int64_t*, std::size_t>(kGetDimensions, info, tensor.shape.data(), rank);
    for (const auto& [name, number] : kTypes) {
      if (number == type) tensor.type = name;
    }
    if (tensor.type.empty())
      throw Error(ErrorCode::kUnsupported, fmt::format("the output has elements of ONNX type {}", type));
    return tensor;
  }

  std::string version_;
  const void* const* table_ = nullptr;
  Handle environment_ = nullptr, memory_ = nullptr, session_ = nullptr, input_ = nullptr, output_ = nullptr;
  char *input_name_ = nullptr, *output_name_ = nullptr;
  PeerTensor output_tensor_;
};

}  // namespace

std::unique_ptr<PeerBackend> OpenOnnxRuntime(const std::string& library) {
  return std::make_unique<OnnxRuntime>(library);
}

}  // namespace frf::cli
