// SPDX-License-Identifier: Apache-2.0
#include "video/ffmpeg/containers.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fstream>
#include <string_view>

namespace frf::video {

bool IsOwnIndex(const AVFormatContext& format) {
  const std::string_view name = format.iformat->name;
  return name.starts_with("mov,") || name == "avi";
}

std::int64_t EndOf(const AVIndexEntry& entry) { return entry.pos + entry.size; }

// The segment begins with an ID and a size in which the first byte's leading zeros say how many bytes follow.
std::optional<bool> HoldsWholeSegment(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto number = [&](bool keep_marker) {
    const int first = file.get();
    const int more = first > 0 ? std::countl_zero(static_cast<std::uint8_t>(first)) : 8;
    std::uint64_t value = static_cast<std::uint64_t>(keep_marker ? first : first & (0x7f >> more));
    for (int i = 0; i < more; ++i) value = value << 8 | static_cast<std::uint8_t>(file.get());
    return value;
  };
  if (number(true) != 0x1A45DFA3) return std::nullopt;
  const std::uint64_t head = number(false);
  file.seekg(static_cast<std::streamoff>(std::min<std::uint64_t>(head, 1 << 20)), std::ios::cur);
  if (number(true) != 0x18538067) return std::nullopt;
  const std::uint64_t size = number(false);
  if (!file || size >= (std::uint64_t{1} << 48)) return std::nullopt;  // all ones: not stated
  const auto start = static_cast<std::uint64_t>(file.tellg());
  file.seekg(0, std::ios::end);
  return static_cast<std::uint64_t>(file.tellg()) >= start + size;
}

double SecondsOfTag(const AVStream& stream) {
  const AVDictionaryEntry* tag = av_dict_get(stream.metadata, "DURATION", nullptr, 0);
  int hours = 0, minutes = 0;
  double seconds = 0;
  return tag != nullptr && std::sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) == 3
             ? hours * 3600 + minutes * 60 + seconds
             : 0;
}

}  // namespace frf::video
