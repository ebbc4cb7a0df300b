// SPDX-License-Identifier: Apache-2.0
// Event files without protobuf: a TFRecord is length, its masked CRC, bytes, their masked CRC; the bytes are
// an `Event` message whose few fields are encoded here by hand (tensorflow/core/util/event.proto,
// framework/summary.proto).
#include "train/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "frf/error.h"
#include "image/image_io.h"

namespace frf {
namespace {

void PutVarint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void PutTag(std::string& out, int field, int wire_type) {
  PutVarint(out, static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire_type));
}

void PutInt(std::string& out, int field, std::int64_t value) {
  PutTag(out, field, 0);
  PutVarint(out, static_cast<std::uint64_t>(value));
}

void PutBytes(std::string& out, int field, const std::string& bytes) {
  PutTag(out, field, 2);
  PutVarint(out, bytes.size());
  out += bytes;
}

template <typename T>
void PutFixed(std::string& out, int field, T value) {
  PutTag(out, field, sizeof(T) == 8 ? 1 : 5);
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

std::string EventHead(std::int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  PutFixed(event, 1, std::chrono::duration<double>(now).count());  // wall_time
  PutInt(event, 2, step);
  return event;
}

// Event.summary (5) holding one Summary.value (1).
std::string SummaryEvent(std::int64_t step, const std::string& value) {
  std::string summary, event = EventHead(step);
  PutBytes(summary, 1, value);
  PutBytes(event, 5, summary);
  return event;
}

std::uint32_t Masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

}  // namespace

std::uint32_t Crc32c(const void* data, std::size_t size) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> values{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
      values[i] = crc;
    }
    return values;
  }();
  std::uint32_t crc = 0xffffffffu;
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
  return ~crc;
}

EventWriter::EventWriter(const std::string& folder, std::optional<std::int64_t> first_step) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "host");
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  path_ = fmt::format("{}/events.out.tfevents.{}.{}.{}", folder, seconds.count(), host.data(), ::getpid());
  file_.open(path_, std::ios::binary | std::ios::app);
  if (!file_) throw Error(ErrorCode::kIo, path_ + ": cannot create: " + std::strerror(errno));
  std::string version = EventHead(0);
  PutBytes(version, 3, "brain.Event:2");
  Write(version);
  if (first_step) {
    std::string session, event = EventHead(*first_step);
    PutInt(session, 1, 1);  // SessionLog.status = START: later points of earlier files are dropped
    PutBytes(event, 7, session);
    Write(event);
  }
  Flush();
}

void EventWriter::Scalar(const std::string& tag, double value, std::int64_t step) {
  std::string entry;
  PutBytes(entry, 1, tag);
  PutFixed(entry, 2, static_cast<float>(value));
  Write(SummaryEvent(step, entry));
}

void EventWriter::Picture(const std::string& tag, const Image& image, std::int64_t step) {
  std::string picture, entry;
  PutInt(picture, 1, image.height);
  PutInt(picture, 2, image.width);
  PutInt(picture, 3, image.channels);
  PutBytes(picture, 4, EncodePng(image));
  PutBytes(entry, 1, tag);
  PutBytes(entry, 4, picture);
  Write(SummaryEvent(step, entry));
}

void EventWriter::Write(const std::string& event) {
  const std::uint64_t length = event.size();
  const std::uint32_t length_crc = Masked(Crc32c(&length, sizeof(length)));
  const std::uint32_t data_crc = Masked(Crc32c(event.data(), event.size()));
  file_.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file_.write(reinterpret_cast<const char*>(&length_crc), sizeof(length_crc));
  file_.write(event.data(), static_cast<std::streamsize>(event.size()));
  file_.write(reinterpret_cast<const char*>(&data_crc), sizeof(data_crc));
}

bool EventWriter::Flush() {
  file_.flush();
  return file_.good();
}

}  // namespace frf
