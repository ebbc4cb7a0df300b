// SPDX-License-Identifier: Apache-2.0
// Writing and reading packed data sets. Subtle: a pack may come from anywhere, so every offset is checked
// against the file's length before it is used, and every file's checksum before it is decoded.
#include "data/pack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/system.h"
#include "base/text.h"
#include "data/internal.h"
#include "image/image_io.h"

namespace frf {
namespace {

static_assert(std::endian::native == std::endian::little, "packs are little-endian");

constexpr char kMagic[] = "FRFPACK1";
constexpr std::uint64_t kMagicBytes = 8, kFooterBytes = 24, kMaxIndexBytes = std::uint64_t{1} << 30;
constexpr const char* kEverySplit = "all";

struct Blob {
  std::uint64_t offset = 0, bytes = 0, checksum = 0;
};

struct PackedSample {
  std::string name, split;
  int height = 0, width = 0;
  Blob image, labels;
};

struct Index {
  std::string title;
  Classes classes;
  std::vector<PackedSample> samples;
};

Json ToJson(const Blob& blob) {
  return Json::array({blob.offset, blob.bytes, fmt::format("{:016x}", blob.checksum)});
}

Json ToJson(const Index& index) {
  Json samples = Json::array();
  for (const PackedSample& s : index.samples) {
    samples.push_back({{"name", s.name},
                       {"split", s.split},
                       {"height", s.height},
                       {"width", s.width},
                       {"image", ToJson(s.image)},
                       {"labels", ToJson(s.labels)}});
  }
  return {{"format", 1},
          {"title", index.title},
          {"classes",
           {{"names", index.classes.names},
            {"palette", index.classes.palette},
            {"label_ids", index.classes.label_ids}}},
          {"samples", std::move(samples)}};
}

Blob BlobFromJson(const Json& json, std::uint64_t end) {
  Blob blob{json.at(0).get<std::uint64_t>(), json.at(1).get<std::uint64_t>(), 0};
  const std::string digits = json.at(2).get<std::string>();
  std::size_t used = 0;
  blob.checksum = std::stoull(digits, &used, 16);
  if (used != digits.size()) throw std::invalid_argument("checksum '" + digits + "'");
  if (blob.offset < kMagicBytes || blob.offset > end || blob.bytes > end - blob.offset) {
    throw std::out_of_range(
        fmt::format("{} bytes at {} reach beyond the {} that are there", blob.bytes, blob.offset, end));
  }
  return blob;
}

Index IndexFromJson(const Json& json, std::uint64_t end) {
  if (json.at("format").get<int>() != 1)
    throw std::invalid_argument(fmt::format("format {}, wanted 1", json.at("format").dump()));
  Index index;
  index.title = json.at("title").get<std::string>();
  index.classes.names = json.at("classes").at("names").get<std::vector<std::string>>();
  index.classes.palette = json.at("classes").at("palette").get<std::vector<Color>>();
  index.classes.label_ids = json.at("classes").at("label_ids").get<std::vector<int>>();
  if (index.classes.count() < 1 || index.classes.count() > kMaxClasses)
    throw std::invalid_argument("class count");
  const auto one_each = [&](std::size_t count, const char* what) {
    if (count != 0 && count != index.classes.names.size())
      throw std::invalid_argument(
          fmt::format("{} {} for {} classes", count, what, index.classes.names.size()));
  };
  one_each(index.classes.palette.size(), "palette colours");
  one_each(index.classes.label_ids.size(), "label ids");
  for (const int id : index.classes.label_ids) {
    if (id < 0 || id > 255) throw std::invalid_argument(fmt::format("label id {}, wanted 0 to 255", id));
  }
  for (const Json& s : json.at("samples")) {
    index.samples.push_back({s.at("name").get<std::string>(), s.at("split").get<std::string>(),
                             s.at("height").get<int>(), s.at("width").get<int>(),
                             BlobFromJson(s.at("image"), end), BlobFromJson(s.at("labels"), end)});
  }
  return index;
}

class PackFile {
 public:
  explicit PackFile(std::string path)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) {
      throw Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                  fmt::format("{}: cannot open the pack: {}", path_, std::strerror(errno)));
    }
  }
  ~PackFile() { ::close(fd_); }
  PackFile(const PackFile&) = delete;
  PackFile& operator=(const PackFile&) = delete;

  const std::string& path() const { return path_; }

  std::string Read(std::uint64_t offset, std::uint64_t bytes) const {
    std::string data(bytes, '\0');
    for (std::uint64_t done = 0; done < bytes;) {
      const ssize_t got = ::pread(fd_, data.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error(ErrorCode::kIo, fmt::format("{}: cannot read {} bytes at {}", path_, bytes, offset));
      done += static_cast<std::uint64_t>(got);
    }
    return data;
  }

  std::string Read(const Blob& blob, const std::string& what) const {
    std::string data = Read(blob.offset, blob.bytes);
    if (XxHash64(data) != blob.checksum) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: checksum mismatch; was the pack damaged? Pack it again", what));
    }
    return data;
  }

  Index ReadIndex() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
      throw Error(ErrorCode::kInvalidArgument,
                  path_ + ": is no regular file; wanted one written by `frf data pack`");
    }
    const std::uint64_t size = static_cast<std::uint64_t>(status.st_size);
    if (size < kMagicBytes + kFooterBytes || Read(0, kMagicBytes) != kMagic) {
      throw Error(ErrorCode::kCorruptFile, path_ + ": is no pack; wanted a file written by `frf data pack`");
    }
    std::uint64_t footer[3];
    std::memcpy(footer, Read(size - kFooterBytes, kFooterBytes).data(), kFooterBytes);
    const auto [offset, bytes, checksum] = footer;
    const std::uint64_t end = size - kFooterBytes;
    if (offset < kMagicBytes || offset > end || bytes != end - offset || bytes > kMaxIndexBytes) {
      throw Error(ErrorCode::kCorruptFile,
                  path_ + ": the index is not where the end says; was the copy cut short?");
    }
    const std::string text = Read({offset, bytes, checksum}, path_ + ": index");
    try {
      return IndexFromJson(ParseJson(text, path_), offset);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw Error(ErrorCode::kCorruptFile, fmt::format("{}: malformed index: {}", path_, error.what()));
    }
  }

 private:
  std::string path_;
  int fd_;
};

class PackedDataset : public Dataset {
 public:
  PackedDataset(std::shared_ptr<const PackFile> file, Index index, std::string title)
      : file_(std::move(file)), index_(std::move(index)), title_(std::move(title)) {}

  std::string description() const override { return fmt::format("{}, {}", title_, Counted(size(), "image")); }
  int size() const override { return static_cast<int>(index_.samples.size()); }
  const Classes& classes() const override { return index_.classes; }
  std::string name(int index) const override { return index_.samples.at(index).name; }
  std::string image_path(int index) const override { return What(index, "image"); }
  std::pair<int, int> image_size(int index) const override {
    const PackedSample& packed = index_.samples.at(index);
    return {packed.height, packed.width};
  }
  std::string label_path(int index) const override { return What(index, "labels"); }

  Sample Get(int index) const override {
    const PackedSample& packed = index_.samples.at(index);
    const std::string what = What(index, "image");
    Sample sample{.name = packed.name,
                  .image = DecodeImage(file_->Read(packed.image, what), what),
                  .labels = GetLabels(index)};
    if (sample.image.height != packed.height || sample.image.width != packed.width) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{} is {}x{}, the index says {}x{}", what, sample.image.height,
                              sample.image.width, packed.height, packed.width));
    }
    return sample;
  }
  LabelImage GetLabels(int index) const override {
    const PackedSample& packed = index_.samples.at(index);
    const std::string what = What(index, "labels");
    LabelImage labels = DecodeLabels(file_->Read(packed.labels, what), what);
    if (labels.height != packed.height || labels.width != packed.width) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{} are {}x{}, the index says {}x{}", what, labels.height, labels.width,
                              packed.height, packed.width));
    }
    return MapIds(std::move(labels), IdentityCoding(index_.classes.count()), what);
  }

 private:
  std::string What(int index, const char* part) const {
    return fmt::format("{}: {} of '{}'", file_->path(), part, index_.samples.at(index).name);
  }

  std::shared_ptr<const PackFile> file_;
  Index index_;
  std::string title_;
};

// The index is JSON: better said before the first image is encoded than after the last.
void CheckNames(const Dataset& data) {
  for (int i = 0; i < data.size(); ++i) {
    if (IsUtf8(data.name(i))) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: the name is not UTF-8, as a pack wants; rename the file", Printable(data.name(i))));
  }
}

std::vector<std::string> SplitsToPack(const DatasetSpec& spec, const PackOptions& options) {
  CheckGivenSplits(spec, options.splits);
  if (!spec.list.empty()) return {kEverySplit};
  std::vector<std::string> splits;
  for (const std::string& split : options.splits) {
    for (std::string& own : SplitParts(split)) {  // samples of "trainval" are train's and val's
      if (std::find(splits.begin(), splits.end(), own) == splits.end()) splits.push_back(std::move(own));
    }
  }
  if (!splits.empty()) return splits;
  // Scenes of each split are drawn apart: under the name of every split they would be scored by what was
  // trained on.
  if (ParseDataSpec(spec.spec).first == "synth") return {"train"};
  return FindSplits(spec);
}

// Encodes and appends the samples of one split, a window of samples at a time on all cores.
class PackWriter {
 public:
  PackWriter(const AppendBytes& append, int quality) : append_(append), quality_(quality) {
    Append(kMagic, kMagicBytes);
  }

  void Add(const Dataset& data, const std::string& split, Progress& progress) {
    constexpr int kWindow = 16;
    for (int first = 0; first < data.size(); first += kWindow) {
      const int count = std::min(kWindow, data.size() - first);
      std::vector<std::pair<std::string, std::string>> files(count);
      std::vector<PackedSample> samples(count);
      ParallelFor(count, DefaultThreads(), [&](int i) {
        const Sample sample = data.Get(first + i);
        samples[i] = {sample.name, split, sample.image.height, sample.image.width, {}, {}};
        files[i] = {quality_ > 0 ? EncodeJpeg(sample.image, quality_) : EncodePng(sample.image),
                    EncodeLabels(sample.labels)};
      });
      for (int i = 0; i < count; ++i) {
        samples[i].image = AppendFile(files[i].first);
        samples[i].labels = AppendFile(files[i].second);
        index.samples.push_back(std::move(samples[i]));
        progress.Advance();
      }
    }
  }

  void Finish() {
    const std::string text = ToJson(index).dump();
    const std::uint64_t footer[3] = {used_, text.size(), XxHash64(text)};
    Append(text.data(), text.size());
    Append(footer, sizeof footer);
  }

  std::uint64_t bytes() const { return used_; }
  Index index;

 private:
  void Append(const void* data, std::size_t size) {
    append_(data, size);
    used_ += size;
  }
  Blob AppendFile(const std::string& file) {
    const Blob blob{used_, file.size(), XxHash64(file)};
    Append(file.data(), file.size());
    return blob;
  }

  const AppendBytes& append_;
  int quality_;
  std::uint64_t used_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> OpenPack(const DatasetSpec& spec, const std::string& file) {
  auto pack = std::make_shared<const PackFile>(file);
  Index index = pack->ReadIndex();
  if (!spec.list.empty()) {
    const std::string title = "pack " + std::filesystem::path(spec.list).filename().string();
    const auto is_there = [&](const std::string& name) {
      return std::any_of(index.samples.begin(), index.samples.end(),
                         [&](const PackedSample& sample) { return sample.name == name; });
    };
    std::vector<std::string> names;
    for (const ListLine& line : ReadListFile(FindListFile(spec.list, "."), is_there))
      names.push_back(line.image);
    auto all = std::make_shared<const PackedDataset>(pack, std::move(index), "pack " + file);
    return NarrowByNames(std::move(all), names, title);
  }
  const std::vector<std::string> parts = SplitParts(spec.split);
  std::vector<PackedSample> chosen;
  for (PackedSample& sample : index.samples) {
    const bool wanted =
        sample.split == kEverySplit || std::find(parts.begin(), parts.end(), sample.split) != parts.end();
    if (wanted) chosen.push_back(std::move(sample));
  }
  if (chosen.empty())
    throw Error(ErrorCode::kNotFound, fmt::format("{}: holds no sample of split '{}'", file, spec.split));
  if (chosen.front().split == kEverySplit)
    LogWarning(fmt::format("{}: is not divided into splits, so '{}' is all of it", file, spec.split));
  index.samples = std::move(chosen);
  const std::string title = fmt::format("{} {} (packed)", index.title, spec.split);
  return std::make_unique<PackedDataset>(std::move(pack), std::move(index), title);
}

std::vector<std::string> PackSplits(const std::string& file) {
  std::vector<std::string> splits;
  const Index index = PackFile(file).ReadIndex();
  for (const char* split : {"train", "val", "test", kEverySplit}) {
    const auto has = [&](const PackedSample& sample) { return sample.split == split; };
    if (std::any_of(index.samples.begin(), index.samples.end(), has)) splits.push_back(split);
  }
  if (splits.empty()) throw Error(ErrorCode::kNotFound, file + ": holds no sample");
  return splits;
}

PackResult PackData(const DatasetSpec& spec, const std::string& file, const PackOptions& options) {
  if (options.jpeg_quality < 0 || options.jpeg_quality > 100) {
    throw Error(ErrorCode::kUsage,
                fmt::format("JPEG quality {}; wanted 1..100, or 0 for PNG", options.jpeg_quality));
  }
  std::vector<std::pair<std::string, std::unique_ptr<Dataset>>> parts;
  for (const std::string& split : SplitsToPack(spec, options)) {
    DatasetSpec part = spec;
    part.split = split == kEverySplit ? spec.split : split;
    parts.emplace_back(split, OpenDataset(part));
  }
  int total = 0;
  PackResult result;
  for (const auto& [split, data] : parts) {
    CheckNames(*data);
    total += data->size();
    result.contents.push_back(fmt::format("{}: {}", split, Counted(data->size(), "image")));
  }
  Progress progress("pack", total);
  WriteFileAtomically(file, [&](const AppendBytes& append) {
    PackWriter writer(append, options.jpeg_quality);
    writer.index.title = ParseDataSpec(spec.spec).first;
    writer.index.classes = parts.front().second->classes();
    for (const auto& [split, data] : parts) writer.Add(*data, split, progress);
    writer.Finish();
    result.bytes = writer.bytes();
  });
  result.samples = total;
  return result;
}

}  // namespace frf
