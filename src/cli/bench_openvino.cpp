// SPDX-License-Identifier: Apache-2.0
// OpenVINO by its C API: plain functions, found by name.
// Subtle: "latency" is a hint that splits no frame off to a second stream; float32 is asked for unless
// bfloat16 is wanted, or a CPU with such units would compute something else than the others.
#include <dlfcn.h>
#include <fmt/format.h>

#include "cli/bench_peer.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

struct TheirShape {
  std::int64_t rank;
  std::int64_t* dims;
};
struct TheirVersion {
  const char *build, *description;
};

constexpr std::pair<const char*, int> kTypes[] = {{"f32", 4}, {"i32", 9}, {"i64", 10}, {"u8", 16}};

using Handle = void*;

class OpenVino : public PeerBackend {
 public:
  OpenVino(const std::string& path, const char* precision)
      : library_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)), precision_(precision) {
    if (library_ == nullptr) throw Error(ErrorCode::kUnsupported, ::dlerror());
    TheirVersion version{};
    Call<TheirVersion*>("ov_get_openvino_version", &version);
    version_ = version.build;
    version_ = version_.substr(0, version_.find('-'));
    Call<Handle*>("ov_core_create", &core_);
  }

  std::string version() const override { return version_; }

  PeerTensor Load(const std::string& model, const PeerTensor& input, void* memory, int threads) override {
    const std::string count = std::to_string(threads);
    using Compile = int (*)(Handle, const char*, const char*, std::size_t, Handle*, ...);
    const auto compile = reinterpret_cast<Compile>(FindSymbol(library_, "ov_core_compile_model_from_file"));
    Handle compiled = nullptr;
    Check(compile(core_, model.c_str(), "CPU", 8, &compiled, "PERFORMANCE_HINT", "LATENCY",
                  "INFERENCE_PRECISION_HINT", precision_, "INFERENCE_NUM_THREADS", count.c_str(),
                  "CPU_DENORMALS_OPTIMIZATION", "YES"));
    Call<Handle, Handle*>("ov_compiled_model_create_infer_request", compiled, &request_);
    Call<Handle, Handle>("ov_infer_request_set_input_tensor", request_, Wrap(input, memory));
    Infer();
    Handle output = nullptr;
    Call<Handle, std::size_t, Handle*>("ov_infer_request_get_output_tensor_by_index", request_, 0, &output);
    output_ = Describe(output);
    return output_;
  }

  void SetOutput(void* memory) override {
    Call<Handle, std::size_t, Handle>("ov_infer_request_set_output_tensor_by_index", request_, 0,
                                      Wrap(output_, memory));
    infer_ = reinterpret_cast<int (*)(Handle)>(FindSymbol(library_, "ov_infer_request_infer"));
  }

  void Infer() override {
    if (infer_ != nullptr)
      Check(infer_(request_));
    else
      Call<Handle>("ov_infer_request_infer", request_);
  }

 private:
  template <typename... Arguments>
  void Call(const char* name, std::type_identity_t<Arguments>... arguments) const {
    Check(reinterpret_cast<int (*)(Arguments...)>(FindSymbol(library_, name))(arguments...));
  }

  void Check(int status) const {
    if (status == 0) return;
    const auto last = reinterpret_cast<const char* (*)()>(FindSymbol(library_, "ov_get_last_err_msg"))();
    throw Error(ErrorCode::kUnsupported,
                last != nullptr && *last != '\0' ? last : fmt::format("OpenVINO's status {}", status));
  }

  Handle Wrap(const PeerTensor& tensor, void* memory) const {
    Handle value = nullptr;
    std::vector<std::int64_t> dims = tensor.shape;
    const TheirShape shape{static_cast<std::int64_t>(dims.size()), dims.data()};
    for (const auto& [name, type] : kTypes) {
      if (tensor.type == name)
        Call<int, TheirShape, void*, Handle*>("ov_tensor_create_from_host_ptr", type, shape, memory, &value);
    }
    return value;
  }

  PeerTensor Describe(Handle value) const {
    int type = 0;
    TheirShape shape{};
    Call<Handle, int*>("ov_tensor_get_element_type", value, &type);
    Call<Handle, TheirShape*>("ov_tensor_get_shape", value, &shape);
    PeerTensor tensor;
    tensor.shape.assign(shape.dims, shape.dims + shape.rank);
    for (const auto& [name, number] : kTypes) {
      if (number == type) tensor.type = name;
    }
    if (tensor.type.empty())
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("the output has elements of OpenVINO's type {}", type));
    return tensor;
  }

  void* library_;
  const char* precision_;
  std::string version_;
  Handle core_ = nullptr, request_ = nullptr;
  int (*infer_)(Handle) = nullptr;
  PeerTensor output_;
};

}  // namespace

std::unique_ptr<PeerBackend> OpenOpenVino(const std::string& library, const char* precision) {
  return std::make_unique<OpenVino>(library, precision);
}

}  // namespace frf::cli
