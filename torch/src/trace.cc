// Times of operators and of the nodes of backward passes, by libtorch's own hook (ATen/record_function.h): in all threads,
// those of calls inside a call subtracted. A node is matched with the operator that made it by its sequence number.
#include "trace.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <torch/cuda.h>

#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "convert.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;
};

// An operator, and what it took.
struct Forward {
  std::string name, arguments;
};

// By the names of a call and of those around it, outermost first, the arguments of the first operator among them, and
// the name and the arguments of the operator that made the node around it.
using Key = std::tuple<std::string, std::string, std::string, std::string>;

struct Running {
  std::string path;
  Forward first;    // of the operators in the path
  Forward forward;  // of the node around it
  Clock::time_point start;
  double inner = 0;  // seconds of the calls inside
  double bytes = 0;
};

std::mutex mutex;
std::map<Key, Total> totals;
std::unordered_map<int64_t, Forward> forwards;  // by sequence number
std::vector<std::string> regions;               // paths; those of other threads begin with the last
c10::Device synchronized(c10::kCPU);
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

Running inside(const std::string& name) {
  Running call;
  if (running.empty()) {
    const std::lock_guard<std::mutex> lock(mutex);
    call.path = regions.empty() ? name : regions.back() + ">" + name;
    return call;
  }
  call.path = running.back().path + ">" + name;
  call.first = running.back().first;
  call.forward = running.back().forward;
  return call;
}

// The last operator before a node's number is given away is the one that makes the node.
void matchForward(const at::RecordFunction& function, Running& call, bool isNode) {
  if (function.seqNr() < 0) return;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!isNode) {
    forwards[function.seqNr()] = call.first;
    return;
  }
  const auto found = forwards.find(function.seqNr());
  if (found != forwards.end()) call.forward = found->second;
}

void push(Running call) {
  running.push_back(std::move(call));
  running.back().start = Clock::now();
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  const bool isNode = function.scope() == at::RecordScope::BACKWARD_FUNCTION;
  const bool isOperator = function.scope() == at::RecordScope::FUNCTION &&
                          std::strncmp(function.name(), "autograd::", std::strlen("autograd::")) != 0;
  Running call = inside(isNode ? std::string("backward:") + function.name() : std::string(function.name()));
  Bytes bytes;
  for (const c10::IValue& input : function.inputs()) bytes.add(input);
  call.bytes = bytes.sum;
  if (isOperator && call.first.name.empty()) {
    call.first.name = function.name();
    for (const c10::IValue& input : function.inputs())
      call.first.arguments += (call.first.arguments.empty() ? "" : " ") + textOf(input);
  }
  if (isOperator || isNode) matchForward(function, call, isNode);
  push(std::move(call));
  return nullptr;
}

// A GPU has not done its work when a call returns: the outermost operators and nodes wait for it.
void synchronize() {
  if (!synchronized.is_cuda() || (running.size() > 1 && !running[running.size() - 2].first.name.empty())) return;
  torch::cuda::synchronize(synchronized.has_index() ? synchronized.index() : -1);
}

void pop(double outputBytes) {
  const Running call = std::move(running.back());
  running.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - call.start).count();
  if (!running.empty()) running.back().inner += seconds;
  const std::lock_guard<std::mutex> lock(mutex);
  Total& total = totals[{call.path, call.first.arguments, call.forward.name, call.forward.arguments}];
  total.calls += 1;
  total.seconds += seconds - call.inner;
  total.bytes += call.bytes + outputBytes;
}

void end(const at::RecordFunction& function, at::ObserverContext*) {
  if (running.empty()) return;
  synchronize();
  Bytes bytes;
  for (const c10::IValue& output : function.outputs()) bytes.add(output);
  pop(bytes.sum);
}

}  // namespace

Napi::Value startTrace(const Napi::CallbackInfo& info) {
  if (handle) throw std::invalid_argument("a trace was started already");
  totals.clear();
  forwards.clear();
  regions.clear();
  synchronized = toDevice(info[0].As<Napi::String>().Utf8Value());
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
    const auto& [path, arguments, forward, forwardArguments] = key;
    Napi::Object row = Napi::Object::New(env);
    row.Set("path", path);
    row.Set("arguments", arguments);
    row.Set("forward", forward);
    row.Set("forwardArguments", forwardArguments);
    row.Set("calls", static_cast<double>(total.calls));
    row.Set("seconds", total.seconds);
    row.Set("bytes", total.bytes);
    rows.Set(rows.Length(), row);
  }
  return rows;
}

Napi::Value beginRegion(const Napi::CallbackInfo& info) {
  Running call = inside("region:" + std::string(info[0].As<Napi::String>()));
  {
    const std::lock_guard<std::mutex> lock(mutex);
    regions.push_back(call.path);
  }
  push(std::move(call));
  return info.Env().Undefined();
}

Napi::Value endRegion(const Napi::CallbackInfo& info) {
  if (!running.empty()) pop(0);
  const std::lock_guard<std::mutex> lock(mutex);
  if (!regions.empty()) regions.pop_back();
  return info.Env().Undefined();
}
