// SPDX-License-Identifier: Apache-2.0
// Checkpoint files. Layout, little-endian:
//   0   "FRFCKPT1"
//   8   u64 length of the header, u64 XXH64 of the header
//   24  header: JSON {"format": 1, "meta": {...}, "tensors": [{name, dtype, shape, offset, bytes, xxh64}]}
//   ..  zeros up to a multiple of 64 (the data's start), then tensors, each 64-byte aligned; offsets count
//   from there
// Subtle: the file's length must be exactly what the header says, so a file cut at a tensor's border is
// noticed too.
#include "base/checkpoint.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/files.h"
#include "base/hash.h"
#include "frf/error.h"

namespace frf {
namespace {

constexpr char kMagic[] = "FRFCKPT1";
constexpr std::size_t kFixedBytes = 24;
constexpr std::size_t kAlign = 64;
constexpr std::uint64_t kMaxHeader = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxFile = std::uint64_t{64} << 30;

std::uint64_t AlignUp(std::uint64_t value) { return (value + kAlign - 1) / kAlign * kAlign; }

// 0 where the name is not one of ours.
std::size_t ElementBytes(const std::string& dtype) {
  if (dtype == "float64" || dtype == "int64") return 8;
  if (dtype == "float32" || dtype == "int32") return 4;
  if (dtype == "float16") return 2;
  if (dtype == "uint8" || dtype == "bool") return 1;
  return 0;
}

// Product of the dimensions times the element size; false on negative dimensions and overflow.
bool CountBytes(const std::vector<std::int64_t>& shape, std::size_t element, std::uint64_t& bytes) {
  bytes = element;
  for (const std::int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes)) return false;
  }
  return true;
}

[[noreturn]] void Corrupt(const std::string& path, const std::string& message) {
  throw Error(ErrorCode::kCorruptFile, path + ": " + message);
}

std::uint64_t ReadWord(const std::string& bytes, std::size_t at) {
  std::uint64_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

std::uint64_t ParseHex(const std::string& path, const std::string& name, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (code != std::errc() || end != text.data() + text.size()) {
    Corrupt(path, fmt::format("'{}' has the checksum '{}', 16 hex digits are wanted", name, text));
  }
  return value;
}

// One entry of the header's list, checked against the `available` bytes of data.
CheckpointTensor ParseTensor(const std::string& path, const Json& entry, const char* data,
                             std::uint64_t available) {
  CheckpointTensor tensor;
  tensor.name = entry.at("name").get<std::string>();
  tensor.dtype = entry.at("dtype").get<std::string>();
  tensor.shape = entry.at("shape").get<std::vector<std::int64_t>>();
  const auto offset = entry.at("offset").get<std::uint64_t>();
  const auto bytes = entry.at("bytes").get<std::uint64_t>();
  const std::size_t element = ElementBytes(tensor.dtype);
  if (element == 0) Corrupt(path, fmt::format("'{}' has the unknown type '{}'", tensor.name, tensor.dtype));
  std::uint64_t wanted = 0;
  if (!CountBytes(tensor.shape, element, wanted) || wanted != bytes) {
    Corrupt(path, fmt::format("'{}' of {} [{}] does not fit its {} bytes", tensor.name, tensor.dtype,
                              fmt::join(tensor.shape, ", "), bytes));
  }
  if (offset % kAlign != 0 || offset > available || bytes > available - offset) {
    Corrupt(path, fmt::format("'{}' wants {} bytes at {}, {} are there; was the copy cut short?", tensor.name,
                              bytes, offset, available));
  }
  tensor.data = data + offset;
  tensor.bytes = bytes;
  const std::uint64_t checksum = ParseHex(path, tensor.name, entry.at("xxh64").get<std::string>());
  const std::uint64_t seen = XxHash64(tensor.data, tensor.bytes);
  if (seen != checksum) {
    Corrupt(path, fmt::format("'{}' has the checksum {:016x}, {:016x} was written; the file is damaged",
                              tensor.name, seen, checksum));
  }
  return tensor;
}

}  // namespace

void CheckpointWriter::Add(const std::string& name, const std::string& dtype,
                           const std::vector<std::int64_t>& shape, const void* data, std::size_t bytes) {
  std::uint64_t wanted = 0;
  const std::size_t element = ElementBytes(dtype);
  if (element == 0 || !CountBytes(shape, element, wanted) || wanted != bytes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("checkpoint tensor '{}': {} [{}] is not {} bytes",
                                                         name, dtype, fmt::join(shape, ", "), bytes));
  }
  tensors_.push_back({name, dtype, shape, data, bytes});
}

void CheckpointWriter::Save(const std::string& path) const {
  Json list = Json::array();
  std::uint64_t offset = 0;
  for (const CheckpointTensor& tensor : tensors_) {
    list.push_back({{"name", tensor.name},
                    {"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"offset", offset},
                    {"bytes", tensor.bytes},
                    {"xxh64", fmt::format("{:016x}", XxHash64(tensor.data, tensor.bytes))}});
    offset = AlignUp(offset + tensor.bytes);
  }
  const std::string header = Json{{"format", 1}, {"meta", meta}, {"tensors", std::move(list)}}.dump();
  const std::uint64_t words[] = {header.size(), XxHash64(header)};
  const char zeros[kAlign] = {};
  WriteFileAtomically(path, [&](const AppendBytes& append) {
    append(kMagic, 8);
    append(words, sizeof(words));
    append(header.data(), header.size());
    append(zeros, AlignUp(kFixedBytes + header.size()) - kFixedBytes - header.size());
    for (const CheckpointTensor& tensor : tensors_) {
      append(tensor.data, tensor.bytes);
      append(zeros, AlignUp(tensor.bytes) - tensor.bytes);
    }
  });
}

Checkpoint Checkpoint::Load(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  checkpoint.bytes_ = ReadFile(path, kMaxFile);
  const std::string& bytes = checkpoint.bytes_;
  if (bytes.size() < 8 || std::memcmp(bytes.data(), kMagic, 7) != 0) {
    Corrupt(path, "is not a checkpoint of frf (wrong first bytes)");
  }
  if (bytes[7] != kMagic[7]) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: checkpoint format '{}', this program reads '1'", path, bytes[7]));
  }
  if (bytes.size() < kFixedBytes)
    Corrupt(path, fmt::format("ends after {} bytes; was the copy cut short?", bytes.size()));
  const std::uint64_t length = ReadWord(bytes, 8);
  if (length > kMaxHeader || length > bytes.size() - kFixedBytes) {
    Corrupt(path, fmt::format("the header wants {} bytes, {} are left; was the copy cut short?", length,
                              bytes.size() - kFixedBytes));
  }
  const std::string text = bytes.substr(kFixedBytes, length);
  if (XxHash64(text) != ReadWord(bytes, 16))
    Corrupt(path, "the header's checksum is wrong; the file is damaged");
  const Json header = ParseJson(text, path);
  const std::uint64_t start = AlignUp(kFixedBytes + length);
  if (start > bytes.size()) Corrupt(path, "ends inside the header's padding; was the copy cut short?");
  const std::uint64_t available = bytes.size() - start;
  try {
    checkpoint.meta_ = header.at("meta");
    std::uint64_t expected = 0;
    for (const Json& entry : header.at("tensors")) {
      checkpoint.tensors_.push_back(ParseTensor(path, entry, bytes.data() + start, available));
      const CheckpointTensor& tensor = checkpoint.tensors_.back();
      const auto offset =
          static_cast<std::uint64_t>(static_cast<const char*>(tensor.data) - bytes.data()) - start;
      expected = std::max(expected, AlignUp(offset + tensor.bytes));
      if (!checkpoint.index_.emplace(tensor.name, checkpoint.tensors_.size() - 1).second) {
        Corrupt(path, fmt::format("'{}' stands twice in the header", tensor.name));
      }
    }
    if (expected != available) {
      Corrupt(path, fmt::format("{} bytes of tensors are announced, {} are there; was the copy cut short?",
                                expected, available));
    }
  } catch (const Json::exception& error) {
    Corrupt(path, fmt::format("the header is malformed: {}", JsonReason(error)));
  }
  return checkpoint;
}

const CheckpointTensor* Checkpoint::Find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const CheckpointTensor& Checkpoint::At(const std::string& name) const {
  const CheckpointTensor* tensor = Find(name);
  if (tensor == nullptr) Corrupt(path_, fmt::format("has no tensor '{}'", name));
  return *tensor;
}

}  // namespace frf
