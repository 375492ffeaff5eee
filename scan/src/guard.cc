#include "guard.h"

#include <csignal>
#include <mutex>

#include <dlfcn.h>

namespace scan {

namespace guard {
thread_local sigjmp_buf* active = nullptr;
}

namespace {

struct sigaction before;

void onBusError(int number, siginfo_t* info, void* context) {
  if (guard::active) siglongjmp(*guard::active, 1);
  if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction) return before.sa_sigaction(number, info, context);
  const bool isFunction = before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN;
  if (isFunction) return before.sa_handler(number);
  // What failed is tried again on return, and ends the process as it would have without this handler.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(number, &standard, nullptr);
  // One that another process sent does not come again.
  if (info->si_code <= 0) raise(number);
}

// Node unloads an addon with the last thread that loaded it, and the handler stays.
void stayLoaded() {
  Dl_info own;
  if (dladdr(reinterpret_cast<void*>(&onBusError), &own) && own.dli_fname)
    dlopen(own.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

}  // namespace

void installGuard() {
  static std::once_flag once;
  std::call_once(once, [] {
    stayLoaded();
    struct sigaction action {};
    action.sa_sigaction = onBusError;
    // The handler is left by a jump, after which the signal must not stay blocked.
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
  });
}

}  // namespace scan
