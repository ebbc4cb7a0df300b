// SPDX-License-Identifier: Apache-2.0
// Whole-file reading and writing. A file that was there stays intact until its successor is complete: written
// to a temporary name in the same folder, synced, renamed. Subtle: a rename replaces a name, not what it
// stands for. So symbolic links are followed first, and a device or a pipe (/dev/null, /dev/stdout) is
// written to as it is. Waiting for a pipe's other side ends where a StopSignal is requested (kInterrupted).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace frf {

// Reads a regular file. Folders, missing files and files above `max_bytes` are errors that name the path.
std::string ReadFile(const std::filesystem::path& path, std::uint64_t max_bytes = std::uint64_t{4} << 30);

// Replaces `path` with `bytes`, atomically; on any failure (disk full, no permission) the old file is left
// and the temporary one removed. A symbolic link stays, the file it names is replaced.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// As above for content produced in pieces: `write` calls `append` as often as it likes; if it throws, nothing
// changes.
using AppendBytes = std::function<void(const void* data, std::size_t size)>;
void WriteFileAtomically(const std::filesystem::path& path,
                         const std::function<void(const AppendBytes& append)>& write);

// For writers that want a name to write to and a file they may seek in (video containers): they fill
// temporary(), an empty file that nobody else uses, then Commit() syncs it and puts it at path(). Without
// Commit the temporary file is removed and what was at path() stays. Where direct() says so, temporary() is
// path() itself: a device or a pipe.
class PendingFile {
 public:
  explicit PendingFile(std::filesystem::path path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& temporary() const { return temporary_; }
  bool direct() const { return direct_; }
  void Commit();

 private:
  std::filesystem::path path_, target_, temporary_;  // as given, behind links, beside that
  bool direct_ = false, committed_ = false;
};

// Creates the folder and its parents; an error names the path.
void MakeFolder(const std::filesystem::path& path);

// How many folders MakeFolder has to make for this one.
std::size_t MissingFolders(const std::filesystem::path& path);

// Folder of the running program (for weights, frf-train and shared data), from /proc/self/exe.
std::filesystem::path ProgramFolder();

}  // namespace frf
