// SPDX-License-Identifier: Apache-2.0
// A look at the raw bytes before protobuf builds objects from them: an empty node takes 2 bytes in a file and
// over 100 in memory, so a small hostile file could ask for a lot. Records are counted first and refused
// above a limit that no network comes near.
#pragma once

#include <cstdint>
#include <string_view>

namespace frf {

inline constexpr std::int64_t kMaxOnnxRecords =
    2'000'000;  // nodes, names, attributes, tensors, ... in one file

// Number of records at or below the nesting of a ModelProto; stops counting above `limit`. Bytes that make no
// sense end the count: protobuf will name the damage.
std::int64_t CountOnnxRecords(std::string_view bytes, std::int64_t limit = kMaxOnnxRecords);

}  // namespace frf
