// SPDX-License-Identifier: Apache-2.0
// A queue between two threads that holds at most `room` items, so that the faster side waits for the slower
// one.
//
//   BoundedQueue<Item> queue(2);
//   writer: while (...) if (!queue.Push(std::move(item))) return;  queue.Close();
//   reader: while (auto item = queue.Pop()) Use(*item);
//
// Threads: any number on either side. Ownership: items move in and out. Errors: none are thrown.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace frf {

template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t room) : room_(room) {}

  // Waits for room; false, the item lost, once the queue was closed.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || items_.size() < room_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Never waits: in a full queue the oldest item makes room and is returned.
  std::optional<T> PushNewest(T item) {
    const std::lock_guard lock(mutex_);
    std::optional<T> oldest;
    if (closed_) return oldest;
    if (items_.size() >= room_) {
      oldest = std::move(items_.front());
      items_.pop_front();
    }
    items_.push_back(std::move(item));
    changed_.notify_all();
    return oldest;
  }

  // Waits for an item; nothing once the queue was closed and is empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  // What is inside can still be taken; nothing more comes in.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  // As Close, and what is inside is lost.
  void Abort() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    items_.clear();
    changed_.notify_all();
  }

 private:
  const std::size_t room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace frf
