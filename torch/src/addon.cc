// The addon's exports; native.ts declares the same list with its types.
#include <c10/util/Logging.h>
#include <napi.h>

#include "memory/allocator.h"
#include "context.h"
#include "distributed/distributed.h"
#include "graph.h"
#include "guard.h"
#include "operators.h"
#include "signals.h"
#include "state.h"
#include "tensors.h"
#include "trace.h"
#include "warnings.h"

namespace {

// setTensorClass(class, symbol): what tensors are wrapped in, and under which key a wrapper holds its handle.
Napi::Value setTensorClass(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  state.tensorClass = Napi::Persistent(info[0].As<Napi::Function>());
  state.handleKey = Napi::Reference<Napi::Symbol>::New(info[1].As<Napi::Symbol>(), 1);
  return info.Env().Undefined();
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<function>>(exports.Env(), name));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new State());
  // Backtraces are not shown; taking one makes every error cost milliseconds.
  c10::SetStackTraceFetcher([] { return std::string(); });
  useArena();
  define<setTensorClass>(exports, "setTensorClass");

  define<findOperator>(exports, "find");
  define<callOperator>(exports, "call");
  define<operatorNames>(exports, "operatorNames");

  define<fromData>(exports, "fromData");
  define<toData>(exports, "toData");
  define<copyTo>(exports, "copyTo");
  define<shapeOf>(exports, "shape");
  define<numelOf>(exports, "numel");
  define<dtypeOf>(exports, "dtype");
  define<deviceOf>(exports, "device");

  define<requiresGradOf>(exports, "requiresGrad");
  define<setRequiresGrad>(exports, "setRequiresGrad");
  define<gradOf>(exports, "gradOf");
  define<setGrad>(exports, "setGrad");
  define<runBackward>(exports, "backward");
  define<gradients>(exports, "grad");

  define<isFreed>(exports, "freed");
  define<freeTensor>(exports, "free");
  define<freeHandle>(exports, "freeHandle");
  define<openScope>(exports, "openScope");
  define<closeScope>(exports, "closeScope");
  define<keepTensor>(exports, "keep");

  define<setGradEnabled>(exports, "setGradEnabled");
  define<enterAutocast>(exports, "enterAutocast");
  define<leaveAutocast>(exports, "leaveAutocast");
  define<manualSeed>(exports, "manualSeed");
  define<generatorState>(exports, "generatorState");
  define<setGeneratorState>(exports, "setGeneratorState");
  define<threads>(exports, "threads");
  define<setThreads>(exports, "setThreads");
  define<setCudaOptions>(exports, "setCudaOptions");
  define<synchronize>(exports, "synchronize");
  define<memory>(exports, "memory");
  define<releaseMemory>(exports, "releaseMemory");
  define<onWarning>(exports, "onWarning");
  define<version>(exports, "version");
  define<devices>(exports, "devices");

  define<graphsAvailable>(exports, "graphsAvailable");
  define<enterCaptureStream>(exports, "enterCaptureStream");
  define<leaveCaptureStream>(exports, "leaveCaptureStream");
  define<beginCapture>(exports, "beginCapture");
  define<endCapture>(exports, "endCapture");
  define<replayGraph>(exports, "replayGraph");
  define<freeGraph>(exports, "freeGraph");

  define<startTrace>(exports, "startTrace");
  define<stopTrace>(exports, "stopTrace");
  define<beginRegion>(exports, "beginRegion");
  define<endRegion>(exports, "endRegion");

  define<armSignals>(exports, "armSignals");
  define<claimAnswer>(exports, "claimAnswer");
  define<disarmSignals>(exports, "disarmSignals");

  define<distributedBackends>(exports, "distributedBackends");
  define<joinGroup>(exports, "joinGroup");
  define<leaveGroup>(exports, "leaveGroup");
  define<groupFailed>(exports, "groupFailed");
  define<sumOverRanks>(exports, "sumOverRanks");
  define<broadcastTensors>(exports, "broadcastTensors");
  define<gatherRows>(exports, "gatherRows");
  define<makeReducer>(exports, "makeReducer");
  define<armReducer>(exports, "armReducer");
  define<finishReducer>(exports, "finishReducer");
  define<freeReducer>(exports, "freeReducer");
  return exports;
}

}  // namespace

NODE_API_MODULE(torch, initialize)
