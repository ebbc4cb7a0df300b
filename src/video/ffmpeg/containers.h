// SPDX-License-Identifier: Apache-2.0
// What containers say of their own length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "video/ffmpeg/ffmpeg.h"

namespace frf::video {

// Whether its index says where every packet lies: mp4, mov, avi.
bool IsOwnIndex(const AVFormatContext& format);
std::int64_t EndOf(const AVIndexEntry& entry);  // the byte behind it

// Whether the file reaches the end that a Matroska segment states in its head. Nothing where it states none,
// as what was written live.
std::optional<bool> HoldsWholeSegment(const std::string& path);

// "00:01:02.500000000" as Matroska keeps the length of a stream; 0 where it is not that.
double SecondsOfTag(const AVStream& stream);

}  // namespace frf::video
