// SPDX-License-Identifier: Apache-2.0
// Label formats into one another, always by way of class ids. A file that does not convert is reported and
// the others go on; nothing is written for it. Subtle: 32 CamVid colours come in as 11 classes, so going out
// one colour stands for a group.
#include "data/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>

#include "base/files.h"
#include "base/log.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/system.h"
#include "base/text.h"
#include "data/convert_formats.h"
#include "data/folder_out.h"
#include "image/image_io.h"
#include "image/transform.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

std::pair<Format, Format> MakeFormats(const ConvertOptions& options) {
  std::pair<Format, Format> formats{MakeFormat(options.from, options.classes),
                                    MakeFormat(options.to, options.classes)};
  if (formats.first.classes != formats.second.classes) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} has {} classes, {} has {}: these do not convert into one another",
                            options.from, formats.first.classes, options.to, formats.second.classes));
  }
  return formats;
}

Image Colored(const LabelImage& labels, const Format& format) {
  std::array<Color, 256> table;
  table.fill(format.void_color.value_or(Color{}));
  std::copy(format.palette.begin(), format.palette.end(), table.begin());
  Image image{.height = labels.height, .width = labels.width, .channels = 3};
  image.pixels.resize(image.bytes());
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    std::copy_n(table[labels.ids[i]].begin(), 3, image.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i));
  }
  return image;
}

using Write = std::function<void()>;

// Reads and checks; what it returns writes.
Write ConvertFile(const std::string& in, const std::string& out, const Format& from, const Format& to) {
  LabelImage labels = ReadCodedLabels(in, from.in);
  if (to.colors) {
    RefuseVoid(labels, in, to);
    return [out, colored = Colored(labels, to)] { WritePng(out, colored); };
  }
  return [out, stored = StoredLabels(std::move(labels), in, to)] { WriteLabels(out, stored); };
}

// Reads every index, then writes it, collecting what cannot be read in order. What cannot be written ends the
// work: a full disk fails for every file.
ConvertResult Collect(int count, const char* title, const std::function<Write(int)>& read) {
  std::vector<std::string> failures(count);
  std::mutex mutex;
  Progress progress(title, count);
  ParallelFor(count, DefaultThreads(), [&](int i) {
    Write write;
    try {
      write = read(i);
    } catch (const Error& error) {
      failures[i] = error.what();
    }
    if (write) write();
    const std::lock_guard lock(mutex);
    progress.Advance();
  });
  ConvertResult result;
  for (std::string& failure : failures) {
    if (failure.empty()) {
      ++result.files;
    } else {
      result.failures.push_back(std::move(failure));
    }
  }
  return result;
}

std::string WithoutEnding(const std::string& name) {
  return fs::path(name).replace_extension().generic_string();
}

// The image files below a folder; those of other formats are told.
std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> others, files = ImageFilesBelow(folder, &others);
  if (!others.empty()) LogWarning(fmt::format("{}: {}", folder, OtherFormatsLeftOut(others)));
  return files;
}

// Pictures of which no mask has the name.
void WarnOfUnlabelled(const std::string& folder, std::map<std::string, std::string> by_stem,
                      const std::vector<std::string>& masks) {
  constexpr std::size_t kNamed = 3;
  for (const std::string& mask : masks) by_stem.erase(WithoutEnding(mask));
  if (by_stem.empty()) return;
  std::string few;
  std::size_t named = 0;
  for (auto at = by_stem.begin(); at != by_stem.end() && named < kNamed; ++at, ++named)
    few += (named > 0 ? ", " : "") + at->second;
  LogWarning(fmt::format("{}: {} without a mask left out ({}{})", folder, Counted(by_stem.size(), "picture"),
                         few, by_stem.size() > kNamed ? " ..." : ""));
}

std::string AsPng(const std::string& name) {
  return fs::path(name).replace_extension(".png").generic_string();
}

// Cityscapes keeps files of four kinds side by side: where some bear the ending of `format`, they alone are
// meant.
std::vector<std::string> OfFormat(std::vector<std::string> files, const std::string& format) {
  const std::string ending = format == "labelIds"   ? "_labelIds.png"
                             : format == "trainIds" ? "_labelTrainIds.png"
                             : format == "colors"   ? "_gtFine_color.png"
                                                    : "";
  const auto fits = [&](const std::string& file) { return file.ends_with(ending); };
  if (std::any_of(files.begin(), files.end(), fits)) std::erase_if(files, std::not_fn(fits));
  return files;
}

void RefuseSame(const std::string& in, const std::string& out,
                const char* harm = "the originals would be lost") {
  std::error_code code;
  if (!fs::equivalent(in, out, code)) return;
  throw Error(ErrorCode::kUsage, fmt::format("{}: input and output are the same; {}", out, harm));
}

// The files' own names, so that what they say of recordings stays: "train/x_1.png" -> "x_1". Where several
// are called so, the folders in which they differ stand behind: "a/x.png", "b/x.png" -> "x_a", "x_b". Throws
// where two still come to one, for one file would take the other's place.
std::vector<std::string> FlatStems(const std::vector<std::string>& names) {
  std::map<std::string, fs::path> common;  // the folders that all files of a stem lie in
  for (const std::string& name : names) {
    const fs::path folder = fs::path(name).parent_path();
    const auto [at, is_first] = common.emplace(fs::path(name).stem().string(), folder);
    if (is_first) continue;
    fs::path shared;
    const auto differ =
        std::mismatch(at->second.begin(), at->second.end(), folder.begin(), folder.end()).first;
    for (auto part = at->second.begin(); part != differ; ++part) shared /= *part;
    at->second = shared;
  }
  std::vector<std::string> stems;
  std::map<std::string, std::string> taken;
  for (const std::string& name : names) {
    std::string stem = fs::path(name).stem().string();
    std::string behind = fs::path(name).parent_path().lexically_relative(common.at(stem)).generic_string();
    std::replace(behind.begin(), behind.end(), '/', '_');
    if (behind != ".") stem += "_" + behind;
    if (stem.starts_with('.')) stem.insert(0, 1, '_');  // hidden files are no images
    if (const auto [first, is_new] = taken.emplace(stem, name); !is_new) {
      if (first->second == name) throw Error(ErrorCode::kInvalidArgument, name + ": is listed twice");
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("{} and {} would both be called {}.png: rename one", first->second, name, stem));
    }
    stems.push_back(std::move(stem));
  }
  return stems;
}

// A picture that an earlier call put there under this stem must stay: refused, unless it is the same one.
void RefuseOther(const fs::path& images, const std::string& stem, const std::string& file,
                 const std::string& source) {
  for (const char* ending : kImageEndings) {
    const fs::path there = images / (stem + ending);
    std::error_code missing;
    if (!fs::is_regular_file(there, missing)) continue;
    if (fs::file_size(there, missing) == file.size() && ReadFile(there) == file) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "{}: {} is there already and is another picture; choose another folder or split, or rename one",
            source, there.string()));
  }
}

// Masks by the split that their first folder names; those of other folders, and all where another split than
// the default is wanted, are of `split`.
std::map<std::string, std::vector<std::string>> BySplit(const std::vector<std::string>& files,
                                                        const std::string& split) {
  if (split != "train") return {{split, files}};
  std::map<std::string, std::vector<std::string>> parts;
  for (const std::string& file : files) {
    const std::string named =
        file.find('/') == std::string::npos ? "" : SplitNamed(file.substr(0, file.find('/')));
    parts[named.empty() ? split : named].push_back(file);
  }
  return parts;
}

// A mask and the picture of its stem.
Pair PairOf(const std::string& images, const std::string& masks, const std::string& mask,
            const std::map<std::string, std::string>& by_stem) {
  const std::string path = (fs::path(masks) / mask).string();
  const auto picture = by_stem.find(WithoutEnding(mask));
  if (picture == by_stem.end())
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no image of this stem in {}", path, images));
  return {picture->second, (fs::path(images) / picture->second).string(), path};
}

void Append(ConvertResult& result, ConvertResult one) {
  result.files += one.files;
  std::move(one.failures.begin(), one.failures.end(), std::back_inserter(result.failures));
}

std::vector<std::string> Names(const Dataset& data) {
  std::vector<std::string> names;
  for (int i = 0; i < data.size(); ++i) names.push_back(data.name(i));
  return names;
}

}  // namespace

const std::vector<std::string>& LabelFormats() {
  static const std::vector<std::string> names{"ids",           "colors",   "camvid-ids",
                                              "camvid-colors", "labelIds", "trainIds"};
  return names;
}

Json ToJson(const ConvertResult& result) { return {{"files", result.files}, {"failures", result.failures}}; }

ConvertResult ConvertLabelFiles(const std::string& in, const std::string& out,
                                const ConvertOptions& options) {
  const auto formats = MakeFormats(options);
  RefuseSame(in, out);
  if (!fs::is_directory(in)) {
    const bool png = Lower(fs::path(out).extension().string()) == ".png";
    if (!png && (LooksLikeImageFile(out) || LooksLikeOtherPicture(out)))
      throw Error(ErrorCode::kUsage, out + ": masks are written as PNG; name a file that ends in .png");
    if (fs::path(out).has_parent_path()) MakeFolder(fs::path(out).parent_path());
    return Collect(1, "convert", [&](int) { return ConvertFile(in, out, formats.first, formats.second); });
  }
  const std::vector<std::string> files = OfFormat(FilesBelow(in), options.from);
  if (files.empty()) throw Error(ErrorCode::kNotFound, in + ": holds no PNG file");
  std::map<std::string, std::string> taken;
  for (const std::string& file : files) {
    if (Lower(fs::path(file).extension().string()) != ".png")
      continue;  // a JPEG fails by itself: it holds no labels
    if (const auto [first, is_new] = taken.emplace(AsPng(file), file); !is_new) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {} and {} would both be {}: rename one", in,
                                                           first->second, file, AsPng(file)));
    }
  }
  for (const std::string& file : files) MakeFolder((fs::path(out) / file).parent_path());
  return Collect(static_cast<int>(files.size()), "convert", [&](int i) {
    return ConvertFile((fs::path(in) / files[i]).string(), (fs::path(out) / AsPng(files[i])).string(),
                       formats.first, formats.second);
  });
}

ConvertResult ConvertToFolder(const DatasetSpec& spec, const std::string& out) {
  const auto [kind, root] = ParseDataSpec(spec.spec);
  if (kind == "folder") RefuseSame(root, out, "every image would stand there twice");
  struct Part {
    std::string split;
    std::unique_ptr<Dataset> data;
    std::vector<std::string> stems;
  };
  std::vector<Part> parts;  // all of them first: what is refused leaves nothing behind
  for (const std::string& found : spec.list.empty() ? FindSplits(spec) : std::vector<std::string>{"all"}) {
    DatasetSpec part = spec;
    part.split = found == "all" ? "train" : found;
    auto data = OpenDataset(part);
    std::vector<std::string> stems = FlatStems(Names(*data));
    parts.push_back({part.split, std::move(data), std::move(stems)});
  }
  FolderClasses facts{.classes = parts.at(0).data->classes(), .coding = {}, .void_colors = {}};
  if (kind == "folder") facts = ReadFolderClasses((fs::path(root) / "classes.json").string());
  FolderOut folder(out, facts);
  ConvertResult result;
  for (const auto& [split, data, stems] : parts) {
    const fs::path images = folder.images(split), masks = folder.masks(split);
    folder.Make(split);
    ConvertResult one = Collect(data->size(), "convert", [&, &data = data, &stems = stems](int i) -> Write {
      const std::string source = data->image_path(i);
      Sample sample = data->Get(i);  // checks the pair
      const bool of_file = fs::is_regular_file(source);
      std::string file = of_file ? ReadFile(source) : EncodePng(sample.image);
      RefuseOther(images, stems[i], file, data->name(i));
      LabelImage stored = folder.Stored(std::move(sample.labels), data->name(i));
      const std::string ending = of_file ? fs::path(source).extension().string() : ".png";
      return [&, ending, &stem = stems[i], stored = std::move(stored), file = std::move(file)] {
        WriteFileAtomically(images / (stem + ending), file);
        WriteLabels((masks / (stem + ".png")).string(), stored, &folder.shown());
      };
    });
    Append(result, std::move(one));
  }
  if (result.files == 0) folder.Unmake();
  return result;
}

ConvertResult AddToFolder(const std::string& images, const std::string& masks, const std::string& out,
                          const std::string& split, const ConvertOptions& options) {
  const Format from = MakeFormat(options.from, options.classes);
  SplitParts(split);
  for (const std::string& folder : {images, masks}) {
    if (!fs::is_directory(folder)) throw Error(ErrorCode::kNotFound, folder + ": no such folder");
  }
  FolderClasses facts;
  if (from.classes == 19 && options.from.ends_with("Ids"))
    facts.classes = CityscapesClasses();
  else if (options.from.starts_with("camvid"))
    facts.classes = CamVidClasses();
  else
    facts = ClassesByName(options.classes, options.from);
  if (options.from == "trainIds") facts.classes.label_ids.clear();
  const std::vector<std::string> files = FilesBelow(masks), pictures = FilesBelow(images);
  if (files.empty()) throw Error(ErrorCode::kNotFound, masks + ": holds no PNG file");
  const auto parts = BySplit(files, split);
  std::map<std::string, std::vector<std::string>> stems;
  for (const auto& [name, part] : parts) stems[name] = FlatStems(part);
  std::map<std::string, std::string> by_stem;
  for (const std::string& picture : pictures) by_stem.emplace(WithoutEnding(picture), picture);
  WarnOfUnlabelled(images, by_stem, files);
  FolderOut folder(out, facts);
  RefuseSame(masks, (fs::path(out) / "masks").string());
  for (const auto& [name, part] : parts) RefuseSame(masks, folder.masks(name).string());
  ConvertResult result;
  for (const auto& [name, part] : parts) {
    const fs::path image_out = folder.images(name), mask_out = folder.masks(name);
    folder.Make(name);
    if (name != split)
      LogInfo(fmt::format("{}: {} of folders named so become split '{}'", masks, Counted(part.size(), "mask"),
                          name));
    Append(result,
           Collect(static_cast<int>(part.size()), "convert", [&, &part = part, &name = name](int i) -> Write {
             const Pair pair = PairOf(images, masks, part[i], by_stem);
             LabelImage labels = ReadCodedLabels(pair.label, from.in);
             const Image image = ReadImage(pair.image);
             if (image.height != labels.height || image.width != labels.width)
               throw Error(ErrorCode::kCorruptFile, SizeMismatch(pair, image, labels));
             std::string file = ReadFile(pair.image);
             const std::string& stem = stems.at(name)[i];
             RefuseOther(image_out, stem, file, pair.image);
             return [&, ending = fs::path(pair.image).extension().string(), &stem = stem,
                     stored = folder.Stored(std::move(labels), pair.label), file = std::move(file)] {
               WriteFileAtomically(image_out / (stem + ending), file);
               WriteLabels((mask_out / (stem + ".png")).string(), stored, &folder.shown());
             };
           }));
  }
  if (result.files == 0) folder.Unmake();
  return result;
}

}  // namespace frf
