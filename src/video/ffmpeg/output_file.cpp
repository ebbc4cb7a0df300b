// SPDX-License-Identifier: Apache-2.0
#include "video/ffmpeg/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

namespace frf::video {
namespace {

constexpr int kBuffer = 1 << 18;
constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

// Bytes that a file there can have at most.
std::int64_t LargestFile(int fd) {
  std::int64_t largest = kNoLimit;
  struct statfs system {};
  if (::fstatfs(fd, &system) == 0 && system.f_type == MSDOS_SUPER_MAGIC) largest = 0xffffffff;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    largest = std::min(largest, static_cast<std::int64_t>(limit.rlim_cur));
  return largest;
}

// Room on the disk that holds `file`, taken by a file that has no name any more; -1 where there is none.
int TakeRoom(const std::string& file, std::int64_t bytes) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  std::string name = (folder.empty() ? "." : folder) / ".frf-reserveXXXXXX";
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return -1;
  ::unlink(name.c_str());
  if (::posix_fallocate(fd, 0, bytes) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

OutputFile::OutputFile(const std::string& file, const std::string& name, std::int64_t reserve)
    : room_(kNoLimit) {
  fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) Throw(ErrorCode::kIo, name, "cannot create", AVERROR(errno));
  if (reserve > 0) {
    reserve_fd_ = TakeRoom(file, reserve);
    const std::int64_t largest = LargestFile(fd_);
    if (largest != kNoLimit) room_ = std::max<std::int64_t>(0, largest - reserve);
  }
  auto* buffer = static_cast<std::uint8_t*>(av_malloc(kBuffer));
  if (buffer != nullptr) context_ = avio_alloc_context(buffer, kBuffer, 1, this, nullptr, Write, Seek);
  if (context_ == nullptr) {
    av_free(buffer);
    Release();
    ::close(fd_);
    throw Error(ErrorCode::kOutOfMemory, name + ": out of memory");
  }
  context_->seekable = ::lseek(fd_, 0, SEEK_CUR) >= 0 ? AVIO_SEEKABLE_NORMAL : 0;
}

OutputFile::~OutputFile() { (void)Close(); }

int OutputFile::Close() {
  if (context_ == nullptr) return 0;
  avio_flush(context_);
  int result = context_->error;
  av_freep(&context_->buffer);
  avio_context_free(&context_);
  Release();
  if (::close(fd_) != 0 && result == 0) result = AVERROR(errno);
  return std::min(result, 0);
}

void OutputFile::Release() {
  if (reserve_fd_ >= 0) ::close(reserve_fd_);
  reserve_fd_ = -1;
}

int OutputFile::Write(void* self, std::uint8_t* data, int size) {
  auto& file = *static_cast<OutputFile*>(self);
  for (int done = 0; done < size;) {
    const ssize_t written = ::write(file.fd_, data + done, static_cast<std::size_t>(size - done));
    if (written >= 0) {
      done += static_cast<int>(written);
    } else if ((errno == ENOSPC || errno == EDQUOT) && file.reserve_fd_ >= 0) {
      file.Release();
      file.full_ = true;
    } else if (errno != EINTR) {
      return AVERROR(errno);
    }
  }
  if (file.room_ != kNoLimit) file.full_ |= ::lseek(file.fd_, 0, SEEK_CUR) > file.room_;
  return size;
}

std::int64_t OutputFile::Seek(void* self, std::int64_t offset, int whence) {
  const auto& file = *static_cast<const OutputFile*>(self);
  if (whence == AVSEEK_SIZE) return AVERROR(ENOSYS);
  const off_t at = ::lseek(file.fd_, offset, whence & ~AVSEEK_FORCE);
  return at < 0 ? AVERROR(errno) : at;
}

}  // namespace frf::video
