// Work in threads of the addon's own, whose end is a promise: libuv's few threads may be decoding pictures.
#pragma once
#include <atomic>
#include <functional>
#include <memory>

#include <napi.h>

#include "mapped-file.h"

namespace scan {

class Job {
 public:
  virtual ~Job() = default;
  // In another thread: touches nothing of JavaScript.
  virtual void run() = 0;
  // In JavaScript's thread, after a run without a failure.
  virtual Napi::Value answer(Napi::Env env) = 0;

  bool isOver() const { return stop.load(std::memory_order_relaxed) != Failure::none; }
  // The first failure counts.
  void fail(Failure failure) {
    auto none = Failure::none;
    stop.compare_exchange_strong(none, failure);
  }

  std::atomic<Failure> stop{Failure::none};
};

// A promise of the job's answer; rejected with an Error whose `code` is the failure. A thread of JavaScript that ends
// meanwhile ends the job.
Napi::Promise launch(Napi::Env env, std::shared_ptr<Job> job);

// Runs work(thread) in so many threads, this one among them; where the system gives fewer, in fewer.
void inThreads(size_t threads, const std::function<void(size_t)>& work);

}  // namespace scan
