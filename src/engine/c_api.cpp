// SPDX-License-Identifier: Apache-2.0
// The C API: handles around frf::LoadedModel and frf::Session, and the edge at which exceptions become status
// codes. Subtle: the error path works when memory has run out. The message has a fixed place: a thread_local
// with a destructor would need memory at its first use in a thread, and glibc ends the process where there is
// none.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/version.h"
#include "engine/session.h"
#include "frf/error.h"
#include "frf/frf.h"
#include "frf/image_io.h"
#include "image/image_io.h"

struct frf_model {
  std::shared_ptr<frf::LoadedModel> loaded;
};

struct frf_session {
  frf::Session session;
};

namespace frf {
namespace {

static_assert(FRF_USAGE == 1 + static_cast<int>(ErrorCode::kUsage) &&
              FRF_INVALID_ARGUMENT == 1 + static_cast<int>(ErrorCode::kInvalidArgument) &&
              FRF_NOT_FOUND == 1 + static_cast<int>(ErrorCode::kNotFound) &&
              FRF_CORRUPT_FILE == 1 + static_cast<int>(ErrorCode::kCorruptFile) &&
              FRF_UNSUPPORTED == 1 + static_cast<int>(ErrorCode::kUnsupported) &&
              FRF_OUT_OF_MEMORY == 1 + static_cast<int>(ErrorCode::kOutOfMemory) &&
              FRF_IO == 1 + static_cast<int>(ErrorCode::kIo) &&
              FRF_INTERRUPTED == 1 + static_cast<int>(ErrorCode::kInterrupted) &&
              FRF_INTERNAL == 1 + static_cast<int>(ErrorCode::kInternal));

static_assert(FRF_RGB == static_cast<int>(PixelOrder::kRgb) &&
              FRF_BGR == static_cast<int>(PixelOrder::kBgr) &&
              FRF_RGBA == static_cast<int>(PixelOrder::kRgba) &&
              FRF_BGRA == static_cast<int>(PixelOrder::kBgra) &&
              FRF_GRAY == static_cast<int>(PixelOrder::kGray));

thread_local char last_error[1024] = "";

frf_status Fail(frf_status status, const char* message) noexcept {
  std::size_t length = std::strlen(message);
  if (length >= sizeof(last_error)) {
    length = sizeof(last_error) - 1;
    while (length > 0 && (message[length] & 0xc0) == 0x80) --length;  // whole characters of UTF-8
  }
  std::memmove(last_error, message, length);  // it may be an earlier message of ours
  last_error[length] = '\0';
  return status;
}

// Runs `body` and turns whatever it throws into a status and a message.
template <typename Body>
frf_status Guard(const Body& body) noexcept {
  try {
    body();
    return FRF_OK;
  } catch (const Error& error) {
    return Fail(static_cast<frf_status>(1 + static_cast<int>(error.code())), error.what());
  } catch (const std::bad_alloc&) {
    return Fail(FRF_OUT_OF_MEMORY, "out of memory; a smaller input size or fewer sessions need less");
  } catch (const std::exception& error) {
    return Fail(FRF_INTERNAL, error.what());
  } catch (...) {
    return Fail(FRF_INTERNAL, "an exception of unknown type");
  }
}

template <typename T>
T& Wanted(T* pointer, const char* name) {
  if (pointer == nullptr) throw Error(ErrorCode::kInvalidArgument, std::string(name) + " is NULL");
  return *pointer;
}

// The caller's options, as many bytes as it knows of, over the defaults.
SessionOptions OptionsOf(const frf_session_options* given) {
  if (given == nullptr) return {};
  constexpr std::size_t kFirst =
      offsetof(frf_session_options, max_memory) + sizeof(given->max_memory);  // version 0.1's fields
  if (given->size < kFirst) {
    throw Error(ErrorCode::kInvalidArgument, "options.size is " + std::to_string(given->size) +
                                                 ", at least " + std::to_string(kFirst) +
                                                 " bytes are wanted; start from FRF_SESSION_OPTIONS_INIT");
  }
  if (given->size < sizeof(frf_session_options) && given->size != kFirst) {
    throw Error(ErrorCode::kInvalidArgument,
                "options.size is " + std::to_string(given->size) +
                    ", which no version had; start from FRF_SESSION_OPTIONS_INIT");
  }
  // No structure of options comes near this; a size that was never set does.
  if (given->size > 4096)
    throw Error(ErrorCode::kInvalidArgument,
                "options.size is " + std::to_string(given->size) + "; start from FRF_SESSION_OPTIONS_INIT");
  frf_session_options options = FRF_SESSION_OPTIONS_INIT;
  std::memcpy(&options, given, std::min(given->size, sizeof(options)));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = sizeof(options); i < given->size; ++i) {
    if (bytes[i] != 0) {
      throw Error(ErrorCode::kInvalidArgument, std::string("the options set a field that frf ") + Version() +
                                                   " does not know; a newer library does");
    }
  }
  if (options.precision < FRF_FLOAT32 || options.precision > FRF_FLOAT16) {
    throw Error(ErrorCode::kInvalidArgument, "options.precision is " + std::to_string(options.precision) +
                                                 ", FRF_FLOAT32, FRF_BFLOAT16 or FRF_FLOAT16 is wanted");
  }
  if (options.reserved != 0) throw Error(ErrorCode::kInvalidArgument, "options.reserved is not 0");
  return {.height = options.height,
          .width = options.width,
          .threads = options.threads,
          .max_memory = options.max_memory,
          .tune = options.tune != 0,
          .precision = static_cast<Precision>(options.precision)};
}

ImageView ViewOf(const frf_image* image) {
  const frf_image& given = Wanted(image, "image");
  int order = 0;  // C callers may have put any number there; a C++ enum may not even be read with one
  static_assert(sizeof(order) == sizeof(given.order));
  std::memcpy(&order, &given.order, sizeof(order));
  if (BytesPerPixel(static_cast<PixelOrder>(order)) == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "image.order is " + std::to_string(order) +
                    "; FRF_RGB, FRF_BGR, FRF_RGBA, FRF_BGRA or FRF_GRAY is wanted");
  }
  return {given.data, given.height, given.width, given.row_stride, static_cast<PixelOrder>(order)};
}

LabelView ViewOf(const frf_labels* labels) {
  const frf_labels& given = Wanted(labels, "labels");
  return {given.data, given.height, given.width, given.row_stride};
}

void CheckRows(const void* data, int height, int width, std::ptrdiff_t row_stride, int channels) {
  const bool sides = height >= 1 && width >= 1 && height <= kMaxSide && width <= kMaxSide;
  if (data != nullptr && sides && row_stride >= std::ptrdiff_t{channels} * width) return;
  throw Error(ErrorCode::kInvalidArgument, std::to_string(height) + "x" + std::to_string(width) +
                                               " pixels with " + std::to_string(row_stride) +
                                               " bytes a row cannot be written");
}

Image CopyOf(const frf_image* image) {
  const ImageView view = ViewOf(image);
  const int channels = BytesPerPixel(view.order);
  CheckRows(view.data, view.height, view.width, view.row_stride, channels);
  Image copy{.height = view.height, .width = view.width, .channels = channels};
  copy.pixels.resize(copy.bytes());
  const auto row = static_cast<std::size_t>(view.width) * channels;
  for (int y = 0; y < view.height; ++y) std::memcpy(copy.at(y, 0), view.data + y * view.row_stride, row);
  if (view.order == PixelOrder::kBgr || view.order == PixelOrder::kBgra) {
    for (std::size_t i = 0; i < copy.pixels.size(); i += channels)
      std::swap(copy.pixels[i], copy.pixels[i + 2]);
  }
  return copy;
}

// `read` in memory that frf_image_free releases.
frf_image Given(const Image& read) {
  auto* data = static_cast<std::uint8_t*>(std::malloc(read.bytes()));
  if (data == nullptr) throw std::bad_alloc();
  std::memcpy(data, read.pixels.data(), read.bytes());
  return {data, read.height, read.width, std::ptrdiff_t{3} * read.width, FRF_RGB};
}

}  // namespace
}  // namespace frf

using frf::Guard;
using frf::ViewOf;
using frf::Wanted;

const char* frf_version(void) { return frf::Version(); }

const char* frf_status_name(frf_status status) {
  switch (status) {
    case FRF_OK:
      return "ok";
    case FRF_USAGE:
      return "wrong usage";
    case FRF_INVALID_ARGUMENT:
      return "invalid argument";
    case FRF_NOT_FOUND:
      return "not found";
    case FRF_CORRUPT_FILE:
      return "corrupt file";
    case FRF_UNSUPPORTED:
      return "unsupported";
    case FRF_OUT_OF_MEMORY:
      return "out of memory";
    case FRF_IO:
      return "input or output failed";
    case FRF_INTERRUPTED:
      return "interrupted";
    case FRF_INTERNAL:
      return "internal error";
  }
  return "unknown status";
}

const char* frf_last_error(void) { return frf::last_error; }

frf_status frf_model_load(const char* name_or_path, frf_model** model) {
  return Guard([&] {
    Wanted(model, "model") = nullptr;
    *model = new frf_model{frf::LoadedModel::Load(&Wanted(name_or_path, "name_or_path"))};
  });
}

frf_status frf_model_load_memory(const void* bytes, size_t size, frf_model** model) {
  return Guard([&] {
    Wanted(model, "model") = nullptr;
    *model = new frf_model{frf::LoadedModel::LoadBytes(bytes, size)};
  });
}

void frf_model_free(frf_model* model) { delete model; }

int frf_model_class_count(const frf_model* model) { return model == nullptr ? 0 : model->loaded->classes(); }

const char* frf_model_class_name(const frf_model* model, int id) {
  return id < 0 || id >= frf_model_class_count(model) ? nullptr : model->loaded->class_name(id).c_str();
}

frf_status frf_model_class_color(const frf_model* model, int id, uint8_t rgb[3]) {
  return Guard([&] {
    Wanted(rgb, "rgb");
    std::memcpy(rgb, Wanted(model, "model").loaded->class_color(id), 3);
  });
}

int frf_model_label_id(const frf_model* model, int id) {
  return id < 0 || id >= frf_model_class_count(model) ? -1 : model->loaded->label_id(id);
}

frf_status frf_model_normalization(const frf_model* model, float mean[3], float deviation[3]) {
  return Guard([&] {
    Wanted(mean, "mean"), Wanted(deviation, "deviation");
    const frf::InputFormat input = Wanted(model, "model").loaded->input();
    std::copy(input.mean.begin(), input.mean.end(), mean);
    std::copy(input.deviation.begin(), input.deviation.end(), deviation);
  });
}

frf_status frf_model_trained_size(const frf_model* model, int* height, int* width) {
  return Guard([&] {
    Wanted(height, "height"), Wanted(width, "width");
    const frf::InputFormat input = Wanted(model, "model").loaded->input();
    *height = input.height;
    *width = input.width;
  });
}

int frf_model_size_multiple(const frf_model* model) {
  return model == nullptr ? 0 : model->loaded->input().multiple;
}

int frf_model_gives_labels(const frf_model* model) {
  return model != nullptr && model->loaded->gives_labels();
}

const char* frf_model_metadata(const frf_model* model, const char* key) {
  if (model == nullptr || key == nullptr) return nullptr;
  for (const auto& [name, value] : model->loaded->impl().metadata) {
    if (name == key) return value.c_str();
  }
  return nullptr;
}

frf_status frf_session_create(const frf_model* model, const frf_session_options* options,
                              frf_session** session) {
  return Guard([&] {
    Wanted(session, "session") = nullptr;
    *session = new frf_session{frf::Session(Wanted(model, "model").loaded, frf::OptionsOf(options))};
  });
}

void frf_session_free(frf_session* session) { delete session; }

frf_status frf_session_input_size(const frf_session* session, int image_height, int image_width, int* height,
                                  int* width) {
  return Guard([&] {
    Wanted(height, "height"), Wanted(width, "width");
    const frf::Session::Size size = Wanted(session, "session").session.InputSize(image_height, image_width);
    *height = size.height;
    *width = size.width;
  });
}

frf_status frf_session_scores_shape(frf_session* session, int height, int width, int shape[3]) {
  return Guard([&] {
    Wanted(shape, "shape");
    const frf::Session::Shape found = Wanted(session, "session").session.ScoresShape(height, width);
    shape[0] = found.classes, shape[1] = found.height, shape[2] = found.width;
  });
}

frf_status frf_session_run(frf_session* session, const frf_image* image, const frf_labels* labels) {
  return Guard([&] { Wanted(session, "session").session.Run(ViewOf(image), ViewOf(labels)); });
}

frf_status frf_session_run_scores(frf_session* session, const frf_image* image, float* scores, size_t count) {
  return Guard(
      [&] { Wanted(session, "session").session.Scores(ViewOf(image), &Wanted(scores, "scores"), count); });
}

frf_status frf_session_run_planes(frf_session* session, const float* planes, int height, int width,
                                  float* scores, size_t count, const frf_labels* labels) {
  return Guard([&] {
    frf::Session& run = Wanted(session, "session").session;
    Wanted(planes, "planes");  // before the room is counted, which would blame the scores
    if (scores != nullptr) {
      const std::size_t wanted = run.ScoresShape(height, width).count();
      if (count < wanted) {
        throw frf::Error(frf::ErrorCode::kInvalidArgument,
                         "there is room for " + std::to_string(count) + " scores, " + std::to_string(wanted) +
                             " are to be written (frf_session_scores_shape)");
      }
    }
    const frf::LabelView view = labels == nullptr ? frf::LabelView{} : ViewOf(labels);
    run.RunPlanes(planes, height, width, labels == nullptr ? nullptr : &view, scores);
  });
}

frf_status frf_image_read(const char* path, frf_image* image) {
  return Guard([&] {
    Wanted(image, "image");
    *image = frf::Given(frf::ReadImage(&Wanted(path, "path"), frf::ImageLimits{}));
  });
}

frf_status frf_image_decode(const void* bytes, size_t size, frf_image* image) {
  return Guard([&] {
    Wanted(image, "image");
    *image = frf::Given(frf::DecodeImage(bytes, size));
  });
}

void frf_image_free(frf_image* image) {
  if (image == nullptr) return;
  std::free(const_cast<uint8_t*>(image->data));
  image->data = nullptr;
}

frf_status frf_image_write_png(const char* path, const frf_image* image) {
  return Guard([&] { frf::WritePng(&Wanted(path, "path"), frf::CopyOf(image)); });
}

frf_status frf_labels_write_png(const char* path, const frf_labels* labels, const frf_model* model) {
  return Guard([&] {
    const frf::LabelView view = ViewOf(labels);
    frf::CheckRows(view.data, view.height, view.width, view.row_stride, 1);
    frf::LabelImage copy{view.height, view.width, {}};
    copy.ids.resize(static_cast<std::size_t>(view.height) * view.width);
    for (int y = 0; y < view.height; ++y)
      std::memcpy(&copy.at(y, 0), view.data + y * view.row_stride, view.width);
    const std::string name = &Wanted(path, "path");
    if (model == nullptr) return frf::WriteLabels(name, copy, nullptr);
    frf::WriteLabels(name, copy, *model->loaded);
  });
}
