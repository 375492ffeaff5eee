// A read of a mapped file that was cut, or whose drive is gone, is a signal (SIGBUS), which would end the process. In
// `guarded` it ends the work instead, of this thread alone.
#pragma once
#include <csetjmp>

namespace scan {

// Once in a process, before the first `guarded`. Signals that come from elsewhere go to whom they went before.
void installGuard();

namespace guard {
extern thread_local sigjmp_buf* active;
}

// Runs work(context); false where a read failed. The work is left where it is: it must have nothing to destroy.
template <typename Context>
__attribute__((noinline)) bool guarded(void (*work)(const Context&), const Context& context) {
  sigjmp_buf place;
  if (sigsetjmp(place, 0) != 0) {
    guard::active = nullptr;
    return false;
  }
  guard::active = &place;
  work(context);
  guard::active = nullptr;
  return true;
}

}  // namespace scan
