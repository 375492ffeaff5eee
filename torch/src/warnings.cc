#include "warnings.h"

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "state.h"

namespace {

class Collector : public c10::WarningHandler {
 public:
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning& warning) override { add(warning.source_location(), warning.msg()); }
#else
  void process(const c10::SourceLocation& source, const std::string& message, const bool) override {
    add(source, message);
  }
#endif

  std::vector<std::string> pending;

 private:
  void add(const c10::SourceLocation& source, const std::string& message) {
    if (seen_.emplace(source.file, source.line).second) pending.push_back(message);
  }

  std::set<std::pair<std::string, uint32_t>> seen_;
};

// libtorch's handler is one per thread, and so is ours: a worker has its own JavaScript environment and thread.
Collector& collector() {
  static thread_local Collector instance;
  return instance;
}

}  // namespace

Napi::Value onWarning(const Napi::CallbackInfo& info) {
  State::of(info.Env()).warningListener = Napi::Persistent(info[0].As<Napi::Function>());
#if TORCH_VERSION_MAJOR >= 2
  c10::WarningUtils::set_warning_handler(&collector());
#else
  c10::Warning::set_warning_handler(&collector());
#endif
  return info.Env().Undefined();
}

void reportWarnings(Napi::Env env) {
  if (collector().pending.empty()) return;
  for (const std::string& message : std::exchange(collector().pending, {}))
    State::of(env).warningListener.Call({Napi::String::New(env, message)});
}
