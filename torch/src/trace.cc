// Times of operators and of the nodes of backward passes, by libtorch's own hook (ATen/record_function.h): in all threads,
// those of calls inside a call subtracted.
#include "trace.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;
};

// By the names of a call and of those around it, outermost first, and the arguments of the first operator among them.
using Key = std::pair<std::string, std::string>;

struct Running {
  std::string path, arguments;
  Clock::time_point start;
  double inner = 0;  // seconds of the calls inside
  double bytes = 0;
};

std::mutex mutex;
std::map<Key, Total> totals;
c10::optional<at::CallbackHandle> handle;
thread_local std::vector<Running> running;

struct Bytes {
  double sum = 0;

  void add(const c10::IValue& value) {
    if (value.isTensor() && value.toTensor().defined()) sum += static_cast<double>(value.toTensor().nbytes());
    if (!value.isTensorList()) return;
    for (const at::Tensor& tensor : value.toTensorVector()) sum += static_cast<double>(tensor.nbytes());
  }
};

// Shapes of tensors, and numbers: "[8, 3, 64, 64] [1, 1] 3".
std::string textOf(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor().defined() ? c10::str(value.toTensor().sizes()) : "-";
  if (value.isIntList()) return c10::str(c10::IntArrayRef(value.toIntVector()));
  if (value.isBoolList()) {
    std::string text = "[";
    for (const bool each : value.toBoolList()) text += text.size() > 1 ? (each ? ", 1" : ", 0") : (each ? "1" : "0");
    return text + "]";
  }
  if (value.isInt() || value.isDouble() || value.isBool()) return c10::str(value);
  return "-";
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  Running call;
  const bool isNode = function.scope() == at::RecordScope::BACKWARD_FUNCTION;
  call.path = isNode ? std::string("backward:") + function.name() : std::string(function.name());
  if (!running.empty()) {
    call.path = running.back().path + ">" + call.path;
    call.arguments = running.back().arguments;
  }
  Bytes bytes;
  for (const c10::IValue& input : function.inputs()) bytes.add(input);
  call.bytes = bytes.sum;
  if (call.arguments.empty() && !isNode) {
    for (const c10::IValue& input : function.inputs())
      call.arguments += (call.arguments.empty() ? "" : " ") + textOf(input);
  }
  running.push_back(std::move(call));
  running.back().start = Clock::now();
  return nullptr;
}

void end(const at::RecordFunction& function, at::ObserverContext*) {
  if (running.empty()) return;
  const Running call = std::move(running.back());
  running.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - call.start).count();
  if (!running.empty()) running.back().inner += seconds;
  Bytes bytes{call.bytes};
  for (const c10::IValue& output : function.outputs()) bytes.add(output);
  const std::lock_guard<std::mutex> lock(mutex);
  Total& total = totals[{call.path, call.arguments}];
  total.calls += 1;
  total.seconds += seconds - call.inner;
  total.bytes += bytes.sum;
}

}  // namespace

Napi::Value startTrace(const Napi::CallbackInfo& info) {
  if (handle) throw std::invalid_argument("a trace was started already");
  totals.clear();
  handle = at::addGlobalCallback(at::RecordFunctionCallback(begin, end)
                                     .needsInputs(true)
                                     .needsOutputs(true)
                                     .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
                                              at::RecordScope::USER_SCOPE}));
  return info.Env().Undefined();
}

Napi::Value stopTrace(const Napi::CallbackInfo& info) {
  if (!handle) throw std::invalid_argument("no trace was started");
  at::removeCallback(*handle);
  handle = c10::nullopt;
  const Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  for (const auto& [key, total] : totals) {
    Napi::Object row = Napi::Object::New(env);
    row.Set("path", key.first);
    row.Set("arguments", key.second);
    row.Set("calls", static_cast<double>(total.calls));
    row.Set("seconds", total.seconds);
    row.Set("bytes", total.bytes);
    rows.Set(rows.Length(), row);
  }
  return rows;
}
