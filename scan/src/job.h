// Work in threads of the addon's own, whose end is a promise: libuv's few threads may be decoding pictures.
#pragma once
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

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

 protected:
  // The file's first `length` bytes; null where the job has failed by that.
  std::shared_ptr<const Mapping> mapped(MappedFile& file, size_t length);
  // Runs work(thread) in so many threads, this one among them; where the system gives fewer, in fewer: who divides work by
  // their number loses some of it. Memory that is not there fails the job.
  void inThreads(size_t threads, const std::function<void(size_t)>& work);
  // A result of each thread, which begins as `none`: take(part, result) adds one of [0, parts), each taken by a thread that is
  // free. It is false where a read failed.
  template <typename Result, typename Take>
  std::vector<Result> inParts(size_t parts, size_t threads, const Result& none, const Take& take) {
    std::vector<Result> results(std::max<size_t>(1, std::min(threads, parts)), none);
    std::atomic<size_t> next{0};
    inThreads(results.size(), [&](size_t thread) {
      Result own = none;
      for (size_t i; !isOver() && (i = next++) < parts;)
        if (!take(i, own)) fail(Failure::readFault);
      results[thread] = std::move(own);
    });
    return results;
  }
};

// A promise of the job's answer; rejected with an Error whose `code` is the failure. A thread of JavaScript that ends
// meanwhile ends the job.
Napi::Promise launch(Napi::Env env, std::shared_ptr<Job> job);

}  // namespace scan
