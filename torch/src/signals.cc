// The handler only tells a thread that a signal came, and calls Node's, so that listeners run as without it. The thread gives
// JavaScript some time; then it writes the answer to the first signal, and ends the process at a second one.
#include "signals.h"

#ifdef _WIN32

Napi::Value armSignals(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); }
Napi::Value claimAnswer(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), true); }
Napi::Value disarmSignals(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

#else

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Answer {
  std::string text;
  milliseconds patience{0};
  milliseconds doubled{0};
};

// Never freed, because the thread runs until the process ends.
struct Watch {
  int ends[2];
  std::mutex mutex;
  Answer answer;
  std::atomic<bool> isArmed{false};
  std::atomic<bool> isReceived{false};
  std::atomic<bool> isAnswered{false};

  Answer current() {
    const std::lock_guard<std::mutex> guard(mutex);
    return answer;
  }
};

std::atomic<int> tell{-1};
struct sigaction nodes[NSIG];

void onSignal(int signal) {
  const int error = errno;
  const unsigned char byte = static_cast<unsigned char>(signal);
  // A pipe that is full has told of enough signals.
  [[maybe_unused]] const ssize_t written = write(tell, &byte, 1);
  errno = error;
  nodes[signal].sa_handler(signal);
}

void writeAll(const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    // A pipe that nobody empties would hold this thread, and a second signal with it.
    pollfd output{STDERR_FILENO, POLLOUT, 0};
    if (poll(&output, 1, 0) != 1 || !(output.revents & POLLOUT)) return;
    const ssize_t count = write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (count > 0) done += static_cast<size_t>(count);
    // Nobody reads it.
    else if (errno != EINTR) return;
  }
}

void answerSignals(Watch& watch) {
  // Signals are for the other threads.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  Clock::time_point first;
  unsigned char signal;
  for (ssize_t count; (count = read(watch.ends[0], &signal, 1)) > 0 || (count < 0 && errno == EINTR);) {
    if (count < 0 || !watch.isArmed) continue;
    const Answer answer = watch.current();
    const Clock::time_point now = Clock::now();
    const bool isSecond = watch.isReceived.exchange(true);
    if (isSecond && now - first < answer.doubled) continue;
    if (!isSecond) first = now;
    std::this_thread::sleep_for(answer.patience);
    if (!watch.isArmed) continue;
    if (isSecond) _exit(128 + signal);
    if (!watch.isAnswered.exchange(true)) writeAll(answer.text);
  }
}

// Null where the system has no pipe or no thread left: JavaScript's listeners answer by themselves then.
Watch* makeWatch() {
  auto* watch = new Watch();
  if (pipe(watch->ends) != 0) return nullptr;
  for (const int end : watch->ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  fcntl(watch->ends[1], F_SETFL, O_NONBLOCK);
  try {
    std::thread([watch] { answerSignals(*watch); }).detach();
  } catch (const std::system_error&) {
    for (const int end : watch->ends) close(end);
    return nullptr;
  }
  tell = watch->ends[1];
  return watch;
}

Watch* theWatch() {
  static Watch* watch = makeWatch();
  return watch;
}

// Node's handler must be there: without a listener a signal has its default effect. Removing the last listener removes ours too.
bool follow(int signal) {
  struct sigaction node;
  if (signal < 1 || signal >= NSIG || sigaction(signal, nullptr, &node) != 0) return false;
  if (node.sa_handler == onSignal) return true;
  if (node.sa_flags & SA_SIGINFO || node.sa_handler == SIG_DFL || node.sa_handler == SIG_IGN) return false;
  nodes[signal] = node;
  struct sigaction ours = node;
  ours.sa_handler = onSignal;
  return sigaction(signal, &ours, nullptr) == 0;
}

}  // namespace

Napi::Value armSignals(const Napi::CallbackInfo& info) {
  Watch* watch = theWatch();
  if (watch == nullptr) return Napi::Boolean::New(info.Env(), false);
  {
    const std::lock_guard<std::mutex> guard(watch->mutex);
    watch->answer = {info[0].As<Napi::String>().Utf8Value(), milliseconds(info[2].As<Napi::Number>().Int32Value()),
                     milliseconds(info[3].As<Napi::Number>().Int32Value())};
  }
  watch->isArmed = true;
  bool isPossible = true;
  const Napi::Array signals = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < signals.Length(); ++i)
    isPossible = follow(Napi::Value(signals[i]).As<Napi::Number>().Int32Value()) && isPossible;
  return Napi::Boolean::New(info.Env(), isPossible);
}

Napi::Value claimAnswer(const Napi::CallbackInfo& info) {
  Watch* watch = theWatch();
  return Napi::Boolean::New(info.Env(), watch == nullptr || !watch->isArmed || !watch->isAnswered.exchange(true));
}

Napi::Value disarmSignals(const Napi::CallbackInfo& info) {
  Watch* watch = theWatch();
  if (watch != nullptr) watch->isArmed = watch->isReceived = watch->isAnswered = false;
  return info.Env().Undefined();
}

#endif
