// Times of operators and of the nodes of backward passes, by libtorch's own hook (ATen/record_function.h): in all threads,
// those of calls inside a call subtracted. A node is matched with the operator that made it by its sequence number.
#include "trace.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <torch/cuda.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
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
struct Operator {
  std::string name, arguments;
};

// A place that is called again and again, found by pointers: a record takes a fraction of a microsecond.
struct Site {
  std::string path;
  const Site* first = nullptr;    // the outermost operator around it, or itself
  const Site* forward = nullptr;  // what made the node around it
  Operator itself;                // of an outermost operator
  Total total;
  std::map<std::string, std::unique_ptr<Site>, std::less<>> inside;
};

struct Running {
  Site* site;
  Clock::time_point start;
  double inner = 0;  // seconds of the calls inside
  double bytes = 0;
};

std::mutex mutex;
// One of each trace. They are kept: a thread may still be in a call when a trace ends.
std::vector<std::unique_ptr<Site>> roots;
Site* base = nullptr;                                // what a thread's first call is in: the root, or a region
std::unordered_map<int64_t, const Site*> forwards;   // by sequence number
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

Site& around() { return running.empty() ? *base : *running.back().site; }

// Made when it is first called. Keys are names, and whatever else tells two calls of one name apart.
Site& inside(Site& site, std::string_view key, std::string_view name) {
  const auto found = site.inside.find(key);
  if (found != site.inside.end()) return *found->second;
  auto made = std::make_unique<Site>();
  made->path = (site.path.empty() ? "" : site.path + ">") + std::string(name);
  made->first = site.first;
  made->forward = site.forward;
  return *site.inside.emplace(key, std::move(made)).first->second;
}

Site& outermost(Site& site, const at::RecordFunction& function) {
  std::string arguments;
  for (const c10::IValue& input : function.inputs()) arguments += (arguments.empty() ? "" : " ") + textOf(input);
  Site& made = inside(site, std::string(function.name()) + " " + arguments, function.name());
  made.first = &made;
  made.itself = {function.name(), std::move(arguments)};
  return made;
}

Site& node(Site& site, const at::RecordFunction& function) {
  const auto found = forwards.find(function.seqNr());
  const Site* forward = found == forwards.end() ? nullptr : found->second;
  const std::string name = std::string("backward:") + function.name();
  Site& made = inside(site, name + " " + std::to_string(reinterpret_cast<uintptr_t>(forward)), name);
  made.forward = forward;
  return made;
}

bool isOperator(const at::RecordFunction& function) {
  return function.scope() == at::RecordScope::FUNCTION &&
         std::strncmp(function.name(), "autograd::", std::strlen("autograd::")) != 0;
}

Site& siteOf(const at::RecordFunction& function) {
  const std::lock_guard<std::mutex> lock(mutex);
  Site& site = around();
  if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) return node(site, function);
  if (!isOperator(function)) return inside(site, function.name(), function.name());
  Site& found = site.first ? inside(site, function.name(), function.name()) : outermost(site, function);
  // The last operator before a node's number is given away is the one that makes the node.
  if (function.seqNr() >= 0) forwards[function.seqNr()] = found.first;
  return found;
}

void push(Site& site, double bytes) { running.push_back({&site, Clock::now(), 0, bytes}); }

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  Bytes bytes;
  for (const c10::IValue& input : function.inputs()) bytes.add(input);
  push(siteOf(function), bytes.sum);
  return nullptr;
}

// A GPU has not done its work when a call returns: the outermost operators and nodes wait for it.
void synchronize() {
  if (!synchronized.is_cuda() || (running.size() > 1 && running[running.size() - 2].site->first)) return;
  torch::cuda::synchronize(synchronized.has_index() ? synchronized.index() : -1);
}

void pop(double outputBytes) {
  const Running call = running.back();
  running.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - call.start).count();
  if (!running.empty()) running.back().inner += seconds;
  const std::lock_guard<std::mutex> lock(mutex);
  Total& total = call.site->total;
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

void addRows(const Site& site, Napi::Array& rows) {
  if (site.total.calls > 0) {
    const Operator none;
    const Operator& first = site.first ? site.first->itself : none;
    const Operator& forward = site.forward ? site.forward->itself : none;
    Napi::Object row = Napi::Object::New(rows.Env());
    row.Set("path", site.path);
    row.Set("arguments", first.arguments);
    row.Set("forward", forward.name);
    row.Set("forwardArguments", forward.arguments);
    row.Set("calls", static_cast<double>(site.total.calls));
    row.Set("seconds", site.total.seconds);
    row.Set("bytes", site.total.bytes);
    rows.Set(rows.Length(), row);
  }
  for (const auto& [key, each] : site.inside) addRows(*each, rows);
}

}  // namespace

Napi::Value startTrace(const Napi::CallbackInfo& info) {
  if (handle) throw std::invalid_argument("a trace was started already");
  roots.push_back(std::make_unique<Site>());
  base = roots.back().get();
  forwards.clear();
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
  Napi::Array rows = Napi::Array::New(info.Env());
  const std::lock_guard<std::mutex> lock(mutex);
  addRows(*roots.back(), rows);
  return rows;
}

Napi::Value beginRegion(const Napi::CallbackInfo& info) {
  const std::string name = "region:" + std::string(info[0].As<Napi::String>());
  {
    const std::lock_guard<std::mutex> lock(mutex);
    base = &inside(around(), name, name);
  }
  push(*base, 0);
  return info.Env().Undefined();
}

Napi::Value endRegion(const Napi::CallbackInfo& info) {
  if (!running.empty()) pop(0);
  const std::lock_guard<std::mutex> lock(mutex);
  base = running.empty() ? roots.back().get() : running.back().site;
  return info.Env().Undefined();
}
