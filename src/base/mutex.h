// SPDX-License-Identifier: Apache-2.0
//
// std::mutex with the annotations that let Clang prove which lock guards which
// field (-Wthread-safety); GCC compiles them to nothing.
#pragma once

#include <mutex>

#if defined(__clang__)
#define AIO_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define AIO_THREAD_ANNOTATION(x)
#endif

#define CAPABILITY(x) AIO_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY AIO_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) AIO_THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES_LOCK(x) AIO_THREAD_ANNOTATION(requires_capability(x))
#define ACQUIRES(...) AIO_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASES(...) AIO_THREAD_ANNOTATION(release_capability(__VA_ARGS__))

namespace aio {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRES() { mutex_.lock(); }
  void unlock() RELEASES() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRES(mutex) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() RELEASES() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace aio
