#include "distributed.h"

#include <map>

#include "convert.h"
#include "group.h"
#include "reducer.h"
#include "state.h"
#include "tensors.h"

#ifdef USE_C10D_GLOO

struct Distributed {
  c10::intrusive_ptr<Group> group;
  std::map<int64_t, std::unique_ptr<Reducer>> reducers;
  int64_t nextReducer = 1;
};

namespace {

Distributed& distributedOf(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (!state.distributed) throw std::logic_error("this process is in no process group");
  return *state.distributed;
}

int64_t integerAt(const Napi::CallbackInfo& info, size_t index, const char* what, int64_t least, int64_t most) {
  const int64_t value = toInteger(State::of(info.Env()), info[index]);
  if (value >= least && value <= most) return value;
  throw std::invalid_argument(std::string(what) + ": expected " + std::to_string(least) + " to " + std::to_string(most) +
                              ", got " + std::to_string(value));
}

std::string textAt(const Napi::CallbackInfo& info, size_t index, const char* what) {
  if (!info[index].IsString()) throw std::invalid_argument(std::string(what) + ": expected a string");
  return info[index].As<Napi::String>().Utf8Value();
}

at::Tensor tensorAt(const Napi::CallbackInfo& info, size_t index) {
  return State::of(info.Env()).unwrap(info.Env(), info[index]);
}

Reducer& reducerAt(const Napi::CallbackInfo& info) {
  Distributed& distributed = distributedOf(info);
  const auto found = distributed.reducers.find(toInteger(State::of(info.Env()), info[0]));
  if (found == distributed.reducers.end()) throw std::invalid_argument("no reducer has this number");
  return *found->second;
}

}  // namespace

Napi::Value distributedBackends(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  names.Set(0u, Napi::String::New(info.Env(), "gloo"));
#ifdef USE_C10D_NCCL
  names.Set(1u, Napi::String::New(info.Env(), "nccl"));
#endif
  return names;
}

Napi::Value joinGroup(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (state.distributed) throw std::logic_error("this process is in a process group already");
  Rendezvous rendezvous;
  rendezvous.backend = textAt(info, 0, "backend");
  rendezvous.address = textAt(info, 1, "address");
  rendezvous.file = textAt(info, 6, "file");
  rendezvous.port = static_cast<uint16_t>(integerAt(info, 2, "port", rendezvous.file.empty() ? 1 : 0, 65535));
  rendezvous.size = static_cast<int>(integerAt(info, 4, "size", 1, 1 << 20));
  rendezvous.rank = static_cast<int>(integerAt(info, 3, "rank", 0, rendezvous.size - 1));
  rendezvous.timeout = std::chrono::milliseconds(integerAt(info, 5, "timeout", 1, int64_t{1} << 31));
  auto distributed = std::make_shared<Distributed>();
  distributed->group = c10::make_intrusive<Group>(rendezvous);
  state.distributed = std::move(distributed);
  return info.Env().Undefined();
}

Napi::Value leaveGroup(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (!state.distributed) return info.Env().Undefined();
  state.distributed->reducers.clear();
  state.distributed->group->close();
  state.distributed.reset();
  return info.Env().Undefined();
}

Napi::Value groupFailed(const Napi::CallbackInfo& info) {
  const State& state = State::of(info.Env());
  return Napi::Boolean::New(info.Env(), state.distributed && state.distributed->group->failed());
}

Napi::Value sumOverRanks(const Napi::CallbackInfo& info) {
  Group& group = *distributedOf(info).group;
  group.wait(*group.sum(tensorAt(info, 0)));
  return info.Env().Undefined();
}

Napi::Value broadcastTensors(const Napi::CallbackInfo& info) {
  Group& group = *distributedOf(info).group;
  const std::vector<at::Tensor> tensors = tensorsAt(info, 0);
  for (const at::Tensor& tensor : tensors) group.require(tensor);
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  for (const at::Tensor& tensor : tensors) works.push_back(group.broadcast(tensor));
  for (const auto& work : works) group.wait(*work);
  return info.Env().Undefined();
}

Napi::Value gatherRows(const Napi::CallbackInfo& info) {
  return State::of(info.Env()).wrap(info.Env(), distributedOf(info).group->gather(tensorAt(info, 0)));
}

Napi::Value makeReducer(const Napi::CallbackInfo& info) {
  Distributed& distributed = distributedOf(info);
  std::vector<at::Tensor> parameters = tensorsAt(info, 0);
  if (parameters.empty()) throw std::invalid_argument("expected parameters, got none");
  const int64_t bytes = integerAt(info, 1, "bytes of a bucket", 1, int64_t{1} << 40);
  const int64_t number = distributed.nextReducer++;
  distributed.reducers[number] = std::make_unique<Reducer>(distributed.group, std::move(parameters), bytes);
  return Napi::Number::New(info.Env(), static_cast<double>(number));
}

Napi::Value armReducer(const Napi::CallbackInfo& info) {
  reducerAt(info).arm();
  return info.Env().Undefined();
}

Napi::Value finishReducer(const Napi::CallbackInfo& info) {
  reducerAt(info).finish();
  return info.Env().Undefined();
}

Napi::Value freeReducer(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  // Leaving the group has freed it.
  if (state.distributed) state.distributed->reducers.erase(toInteger(state, info[0]));
  return info.Env().Undefined();
}

#else

struct Distributed {};

namespace {
[[noreturn]] void missing() { throw std::runtime_error("this libtorch was built without distributed training (c10d, Gloo)"); }
}  // namespace

Napi::Value distributedBackends(const Napi::CallbackInfo& info) { return Napi::Array::New(info.Env()); }
Napi::Value joinGroup(const Napi::CallbackInfo&) { missing(); }
Napi::Value leaveGroup(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }
Napi::Value groupFailed(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); }
Napi::Value sumOverRanks(const Napi::CallbackInfo&) { missing(); }
Napi::Value broadcastTensors(const Napi::CallbackInfo&) { missing(); }
Napi::Value gatherRows(const Napi::CallbackInfo&) { missing(); }
Napi::Value makeReducer(const Napi::CallbackInfo&) { missing(); }
Napi::Value armReducer(const Napi::CallbackInfo&) { missing(); }
Napi::Value finishReducer(const Napi::CallbackInfo&) { missing(); }
Napi::Value freeReducer(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

#endif
