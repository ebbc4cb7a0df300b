// SPDX-License-Identifier: Apache-2.0
// What the data room's files share: a listing (which image goes with which label file), and what the values
// of a label file mean. A layout's function only lists; reading, checking and packing are written once, over
// listings.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/dataset.h"
#include "frf/error.h"

namespace frf {

// Drawn street scenes; implemented in synth_dataset.cpp. `spec.list` is handled by the caller.
std::unique_ptr<Dataset> OpenSynth(const DatasetSpec& spec, int count);

// A packed file (pack.cpp); heeds split and list.
std::unique_ptr<Dataset> OpenPack(const DatasetSpec& spec, const std::string& file);

std::vector<std::string> PackSplits(const std::string& file);

// What the stored values of a label file mean.
struct LabelCoding {
  enum class Kind {
    kIds,     // grey or palette PNG: the stored values
    kColors,  // RGB: colours
    kEither,  // by the file: colours where it is RGB
  };
  static constexpr std::int16_t kBad = -1;

  LabelCoding() { table.fill(kBad); }

  Kind kind = Kind::kIds;
  std::array<std::int16_t, 256> table;                     // stored value -> class id, kVoidLabel or kBad
  std::unordered_map<std::uint32_t, std::uint8_t> colors;  // Key(colour) -> class id or kVoidLabel
  std::string wanted;                                      // for errors: "0..10, or 11 for void"

  static std::uint32_t Key(const Color& c) {
    return static_cast<std::uint32_t>(c[0]) << 16 | static_cast<std::uint32_t>(c[1]) << 8 | c[2];
  }
};

LabelCoding IdentityCoding(int classes);  // 0..classes-1, 255 void
LabelCoding CamVidIdCoding();             // 0..10, 11 void
LabelCoding CamVidColorCoding();          // the 32 colours
LabelCoding CityscapesCoding(const std::string& variant);

// Maps stored values or colours to class ids. The first bad value is an error that names `path`, value and
// position.
LabelImage MapIds(LabelImage stored, const LabelCoding& coding, const std::string& path);
LabelImage MapColors(const Image& stored, const LabelCoding& coding, const std::string& path);
// Reads a label file by its coding.
LabelImage ReadCodedLabels(const std::string& path, const LabelCoding& coding);
// Whether the file's pixels are colours: by its coding or, where that leaves it open, as the PNG stores them.
// A JPEG is refused: it changes values.
bool HoldsColors(const std::string& path, const LabelCoding& coding);
// Whether the file is a PNG of palette indices.
bool HasPalette(const std::string& path);

// What a picture's or mask's file may end in, beside other mixtures of capitals, which lists may name.
inline constexpr const char* kImageEndings[] = {".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"};

struct Pair {
  std::string name;          // image path relative to the root
  std::string image, label;  // full paths
};

// Something wrong with the listing itself. OpenDataset throws the first fatal one, and warns of files in
// other formats; the check reports them all.
struct ListingProblem {
  // "missing image", "missing label", "label without image", "ambiguous", "no image", "odd name", "other
  // format"
  std::string kind;
  std::string file, message;
  bool fatal = true;
  std::string other;  // the pair's other file
};

struct Listing {
  std::string root, title;  // title: "camvid train"
  Classes classes;
  LabelCoding coding;
  std::vector<Pair> pairs;
  std::vector<ListingProblem> problems;
  bool undivided = false;  // the folder has no splits: every split is all of it
};

// Lists a split, or the names in spec.list. They throw for a missing folder, split or malformed list; missing
// files of a pair go to `problems`.
Listing ListCamVid(const DatasetSpec& spec, const std::string& root);
Listing ListCityscapes(const DatasetSpec& spec, const std::string& root);
Listing ListFolder(const DatasetSpec& spec, const std::string& root);
// The splits that are there, of train, val and test; {"all"} where the data is not divided. Throws as
// OpenDataset when there is none.
std::vector<std::string> FindSplits(const DatasetSpec& spec);
// "kind:rest" taken apart; kUsage for anything else.
std::pair<std::string, std::string> ParseDataSpec(const std::string& spec);
// The listing of a file-based spec (camvid, cityscapes, folder).
Listing ListFiles(const DatasetSpec& spec);
std::unique_ptr<Dataset> OpenListing(Listing listing);
// Where one of the first masks shows its indices in the colours of other classes, says so once.
void WarnOfPalettes(const Listing& listing);

// Of classes.json in `root`.
struct FolderClasses {
  Classes classes;
  LabelCoding coding;
  std::vector<Color> void_colors;  // that it declares
};
FolderClasses ReadFolderClasses(const std::string& path);
// The split that a folder of this name holds ("Training": train); "" where it names none.
std::string SplitNamed(const std::string& folder);

// One line of a list file.
struct ListLine {
  std::string image, label;  // as written; label may be empty
};
// `is_there`: whether there is an image of this name; it tells a name with spaces from an image and a label.
std::vector<ListLine> ReadListFile(const std::string& path,
                                   const std::function<bool(const std::string&)>& is_there);
// `list` as given, else inside `root`.
std::string FindListFile(const std::string& list, const std::string& root);

// Whether there is such a file; what cannot be looked at (links in a circle) is none.
bool IsFile(const std::filesystem::path& path);
// Sorted relative paths of the image files below `folder` (which must be there); into `others` go those of
// pictures that frf does not read.
std::vector<std::string> ImageFilesBelow(const std::filesystem::path& folder,
                                         std::vector<std::string>* others = nullptr);
// The same for a listing: the others become a problem of it.
std::vector<std::string> ListImages(Listing& listing, const std::filesystem::path& folder);
// A picture that frf does not read beside where `path` would be, with its stem; "" where there is none.
std::string OtherFormatOf(const std::string& path);
// Appends the pair; files that are not there become problems and the pair is left out.
void AddPair(Listing& listing, const std::string& name, const std::string& image, const std::string& label);
// What is wrong where the two files of a pair differ in size.
std::string SizeMismatch(const Pair& pair, const Image& image, const LabelImage& labels);
// The splits that `split` stands for: trainval is train and val. kUsage for a name that is none of the four.
std::vector<std::string> SplitParts(const std::string& split);
// What would change nothing is refused (kUsage): splits beside a list, a variant of data that have none.
void CheckGivenSplits(const DatasetSpec& spec, const std::vector<std::string>& splits);

// Only the samples whose names are given, in that order; a name that is not there is kNotFound.
std::unique_ptr<Dataset> NarrowByNames(std::shared_ptr<const Dataset> data,
                                       const std::vector<std::string>& names, const std::string& title);

// Calls work(0) ... work(count - 1) on up to `threads` threads; rethrows the error of the lowest index.
void ParallelFor(int count, int threads, const std::function<void(int)>& work);

}  // namespace frf
