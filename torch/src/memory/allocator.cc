#include "allocator.h"

#ifndef __linux__

void useArena() {}
size_t keptBytes() { return 0; }
Napi::Value releaseMemory(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), 0); }

#else

#include <c10/core/CPUAllocator.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include "arena.h"

namespace {

// Smaller blocks are what malloc keeps by itself.
constexpr size_t kSmallest = 32 << 10;
constexpr std::chrono::seconds kWindow{5};

// Set once; these last as long as the process, because tensors may be freed at any time until it ends.
Arena* arena = nullptr;
c10::Allocator* previous = nullptr;
c10::DeleterFnPtr freePrevious = nullptr;

// Hands back what windows of time did not need. Sleeps while nothing is freed.
class Keeper {
 public:
  void start() {
    std::thread([this] { run(); }).detach();
  }

  void onFree() {
    if (isActive_.exchange(true)) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_.notify_one();
  }

 private:
  [[noreturn]] void run() {
    // Signals are for the other threads.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        woken_.wait(lock, [this] { return isActive_.load(); });
      }
      isActive_ = false;
      std::this_thread::sleep_for(kWindow);
      if (arena->nextWindow()) isActive_ = true;
    }
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  std::atomic<bool> isActive_{false};
};

Keeper* keeper = nullptr;

// Also gets what the previous allocator gave, before and after this one took its place.
void giveBack(void* data) {
  if (!arena->owns(data)) return freePrevious(data);
  arena->give(data);
  keeper->onFree();
}

struct ArenaAllocator final : c10::Allocator {
  // const until libtorch 2.3, and not since then: one of the two is libtorch's.
  c10::DataPtr allocate(size_t bytes) const { return take(bytes); }
  c10::DataPtr allocate(size_t bytes) { return take(bytes); }

  c10::DeleterFnPtr raw_deleter() const override { return &giveBack; }

  // libtorch's since 2.2.
  void copy_data(void* target, const void* source, std::size_t bytes) const { std::memcpy(target, source, bytes); }

 private:
  static c10::DataPtr take(size_t bytes) {
    void* data = bytes < kSmallest ? nullptr : arena->take(bytes);
    if (!data) data = fromPrevious(bytes);
    return {data, data, &giveBack, c10::Device(c10::kCPU)};
  }

  // Throws libtorch's error, which names the bytes, when there is no memory, also not after handing back what is kept.
  static void* fromPrevious(size_t bytes) {
    try {
      return previous->raw_allocate(bytes);
    } catch (const c10::Error&) {
      if (arena->release() == 0) throw;
    }
    return previous->raw_allocate(bytes);
  }
};

void install() {
  previous = c10::GetCPUAllocator();
  freePrevious = previous->raw_deleter();
  if (!freePrevious) return;
  arena = Arena::reserve();
  if (!arena) return;
  keeper = new Keeper();
  keeper->start();
  c10::SetCPUAllocator(new ArenaAllocator());
}

}  // namespace

void useArena() {
  static std::once_flag once;
  std::call_once(once, install);
}

size_t keptBytes() { return arena ? arena->kept() : 0; }

Napi::Value releaseMemory(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), arena ? static_cast<double>(arena->release()) : 0);
}

#endif
