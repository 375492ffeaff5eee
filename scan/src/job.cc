#include "job.h"

#include <csignal>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>

namespace scan {
namespace {

// What a thread of the addon and its function in JavaScript's thread share.
struct Running {
  std::shared_ptr<Job> job;
  Napi::Promise::Deferred deferred;
  napi_threadsafe_function done = nullptr;
  std::thread thread;
};

// Signals of the process are for other threads; those of a fault come to the one that caused it.
void blockSignals() {
  sigset_t all;
  sigfillset(&all);
  for (int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void runJob(Job& job) {
  try {
    job.run();
  } catch (const std::bad_alloc&) {
    job.fail(Failure::noMemory);
  }
}

void settle(Napi::Env env, Running& running) {
  Napi::HandleScope scope(env);
  const Failure failure = running.job->stop.load();
  if (failure == Failure::none) return running.deferred.Resolve(running.job->answer(env));
  auto error = Napi::Error::New(env, nameOf(failure));
  error.Set("code", Napi::String::New(env, nameOf(failure)));
  running.deferred.Reject(error.Value());
}

// Without an environment where it is ending; then nobody waits any more.
void onDone(napi_env env, napi_value, void* context, void*) {
  if (!env) return;
  auto& running = *static_cast<Running*>(context);
  try {
    settle(env, running);
  } catch (const Napi::Error&) {
    // JavaScript is being ended, and takes nothing more.
  } catch (const std::bad_alloc&) {
    running.deferred.Reject(Napi::Error::New(env, nameOf(Failure::noMemory)).Value());
  }
}

// The thread has called `done`, or JavaScript's thread ends: then the work is ended, and waited for.
void onFinal(napi_env, void*, void* context) {
  auto* running = static_cast<Running*>(context);
  running->job->fail(Failure::cancelled);
  if (running->thread.joinable()) running->thread.join();
  delete running;
}

}  // namespace

Napi::Promise launch(Napi::Env env, std::shared_ptr<Job> job) {
  auto* running = new Running{std::move(job), Napi::Promise::Deferred::New(env), nullptr, {}};
  const auto promise = running->deferred.Promise();
  const auto name = Napi::String::New(env, "mobileclip scan");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, running, onFinal,
                                                             running, onDone, &running->done);
  if (status != napi_ok) {
    delete running;
    throw Napi::Error::New(env, "a thread was not started");
  }
  try {
    running->thread = std::thread([running] {
      blockSignals();
      runJob(*running->job);
      // `running` lives until the release, unless JavaScript is closing: then the release is not ours to make.
      const auto done = running->done;
      if (napi_call_threadsafe_function(done, nullptr, napi_tsfn_blocking) == napi_ok)
        napi_release_threadsafe_function(done, napi_tsfn_release);
    });
  } catch (const std::system_error&) {
    running->job->fail(Failure::noMemory);
    napi_call_threadsafe_function(running->done, nullptr, napi_tsfn_blocking);
    napi_release_threadsafe_function(running->done, napi_tsfn_release);
  }
  return promise;
}

std::shared_ptr<const Mapping> Job::mapped(MappedFile& file, size_t length) {
  Failure failure = Failure::none;
  auto mapping = file.map(length, failure);
  if (!mapping) fail(failure);
  return mapping;
}

void Job::inThreads(size_t threads, const std::function<void(size_t)>& work) {
  const auto safeWork = [&](size_t thread) {
    try {
      work(thread);
    } catch (const std::bad_alloc&) {
      fail(Failure::noMemory);
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  for (size_t i = 1; i < threads; i++) {
    try {
      others.emplace_back([&safeWork, i] { safeWork(i); });
    } catch (const std::system_error&) {
      break;
    }
  }
  safeWork(0);
  for (auto& thread : others) thread.join();
}

}  // namespace scan
