// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

#include "base/hash.h"
#include "base/temporaries.h"
#include "frf/error.h"

namespace frf {
namespace {

// Files of other names may well be written.
bool IsNamesFault(int code) {
  return code == ENAMETOOLONG || code == EISDIR || code == ENOTDIR || code == ELOOP || code == EEXIST;
}

[[noreturn]] void ThrowErrno(const std::filesystem::path& path, const char* action, int code) {
  const ErrorCode kind = code == ENOENT       ? ErrorCode::kNotFound
                         : IsNamesFault(code) ? ErrorCode::kInvalidArgument
                                              : ErrorCode::kIo;
  throw Error(kind, fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(code)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Close() {
    const int result = ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

void WriteAll(int fd, const char* data, std::size_t size, const std::filesystem::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      ThrowErrno(path, "write", errno);
    }
    data += written;
    size -= static_cast<std::size_t>(written);
  }
}

// What `path` names once symbolic links are followed, which need not exist.
std::filesystem::path BehindLinks(const std::filesystem::path& path) {
  std::filesystem::path found = path;
  std::error_code code;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(found, code)); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(found, code);
    if (code || links == 40) ThrowErrno(path, "follow the link", code ? code.value() : ELOOP);
    found = found.parent_path() / next;  // an absolute `next` stands alone
  }
  return found;
}

// Something that is there and that a rename would not fill but remove. The kernel's own links, such as
// /proc/self/fd/1, may lead to a pipe that has no name, or to a file that was deleted.
bool IsDevice(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  struct stat behind {};
  return !S_ISREG(status.st_mode) || ::lstat(BehindLinks(path).c_str(), &behind) != 0;
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) ThrowErrno(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) ThrowErrno(path, "stat", errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: is a folder, a file is wanted", path.string()));
  }
  if (S_ISREG(status.st_mode) && static_cast<std::uint64_t>(status.st_size) > max_bytes) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {} bytes, at most {} are read", path.string(), status.st_size, max_bytes));
  }
  std::string bytes;
  // Pipes and devices have no size: read to the end, never beyond the limit.
  std::size_t used = 0;
  bytes.resize(S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) + 1 : std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0) {
      if (errno == EINTR) continue;
      ThrowErrno(path, "read", errno);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) {
      throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: more than {} bytes", path.string(), max_bytes));
    }
    if (used == bytes.size()) bytes.resize(bytes.size() * 2);
  }
  bytes.resize(used);
  return bytes;
}

PendingFile::PendingFile(std::filesystem::path path) : path_(std::move(path)), direct_(IsDevice(path_)) {
  target_ = temporary_ = direct_ ? path_ : BehindLinks(path_);
  if (direct_) return;
  const std::string name = target_.filename().string(), ending = fmt::format(".tmp{}", ::getpid());
  // A name may be the longest that there is.
  const bool fits = name.size() + ending.size() <= NAME_MAX;
  temporary_.replace_filename((fits ? name : fmt::format("{:016x}", XxHash64(name))) + ending);
  RememberTemporary(temporary_.string());
}

PendingFile::~PendingFile() {
  if (direct_) return;
  if (!committed_) ::unlink(temporary_.c_str());
  ForgetTemporary(temporary_.string());
}

void PendingFile::Commit() {
  if (direct_) return;
  const Descriptor file(::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) ThrowErrno(path_, "create", errno);
  if (::fsync(file.get()) != 0 && errno != EINVAL) ThrowErrno(path_, "sync", errno);
  // Who may read what was there may read what takes its place: the same group, or none.
  struct stat before {};
  if (::stat(target_.c_str(), &before) == 0 && S_ISREG(before.st_mode)) {
    const bool same_group = ::fchown(file.get(), static_cast<uid_t>(-1), before.st_gid) == 0;
    (void)::fchmod(file.get(), before.st_mode & (same_group ? 0777 : 0707));
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) ThrowErrno(path_, "replace", errno);
  committed_ = true;
  // The rename itself is durable once the folder is synced; a file system that cannot is not an error.
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  const Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle.get() >= 0) (void)::fsync(handle.get());
}

void WriteFileAtomically(const std::filesystem::path& path,
                         const std::function<void(const AppendBytes&)>& write) {
  PendingFile pending(path);
  // Without O_CREAT where something is there: of a pipe in /tmp that is another user's Linux refuses it.
  const int flags = O_WRONLY | O_CLOEXEC | (pending.direct() ? 0 : O_CREAT | O_TRUNC);
  std::error_code
      missing;  // of a file that is replaced nobody else reads the half of it; Commit gives its mode
  const mode_t mode = std::filesystem::exists(path, missing) ? 0600 : 0644;
  Descriptor file(::open(pending.temporary().c_str(), flags, mode));
  if (file.get() < 0) ThrowErrno(path, pending.direct() ? "open" : "create", errno);
  write([&](const void* data, std::size_t size) {
    WriteAll(file.get(), static_cast<const char*>(data), size, path);
  });
  if (file.Close() != 0) ThrowErrno(path, "close", errno);
  pending.Commit();
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  WriteFileAtomically(path, [&](const AppendBytes& append) { append(bytes.data(), bytes.size()); });
}

void MakeFolder(const std::filesystem::path& path) {
  std::error_code code, lost;
  std::filesystem::create_directories(path, code);
  if (std::filesystem::is_directory(path, lost)) return;
  const int number = code ? code.value() : ENOTDIR;
  throw Error(IsNamesFault(number) ? ErrorCode::kInvalidArgument : ErrorCode::kIo,
              fmt::format("{}: cannot create the folder: {}", path.string(),
                          code ? code.message() : "a file of that name is in the way"));
}

std::filesystem::path ProgramFolder() {
  std::error_code code;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", code);
  return code ? std::filesystem::path(".") : program.parent_path();
}

}  // namespace frf
