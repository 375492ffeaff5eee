#include "graph.h"

#ifdef USE_CUDA_GRAPHS

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/cuda.h>

#include <map>
#include <memory>
#include <optional>

#include "convert.h"
#include "state.h"

namespace {

using at::cuda::CUDAGraph;
using c10::cuda::CUDAStream;

// This process's: a GPU's current stream, and a capture, are of a thread, and only one thread has tensors.
std::optional<CUDAStream> outerStream, captureStream;
std::unique_ptr<CUDAGraph> recording;
std::map<int64_t, std::unique_ptr<CUDAGraph>> graphs;
int64_t nextGraph = 1;

CUDAGraph& graphAt(const Napi::CallbackInfo& info) {
  const auto found = graphs.find(toInteger(State::of(info.Env()), info[0]));
  if (found == graphs.end()) throw std::invalid_argument("no graph has this number");
  return *found->second;
}

}  // namespace

Napi::Value graphsAvailable(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), torch::cuda::is_available());
}

// Nothing can be recorded on the stream that everything else runs on. What ran there before is waited for.
Napi::Value enterCaptureStream(const Napi::CallbackInfo& info) {
  if (!torch::cuda::is_available()) throw std::runtime_error("there is no GPU to record a graph of");
  if (outerStream) throw std::logic_error("a capture stream is in use");
  torch::cuda::synchronize();
  if (!captureStream) captureStream = c10::cuda::getStreamFromPool();
  outerStream = c10::cuda::getCurrentCUDAStream();
  c10::cuda::setCurrentCUDAStream(*captureStream);
  return info.Env().Undefined();
}

Napi::Value leaveCaptureStream(const Napi::CallbackInfo& info) {
  if (!outerStream) throw std::logic_error("no capture stream is in use");
  c10::cuda::setCurrentCUDAStream(*outerStream);
  outerStream.reset();
  torch::cuda::synchronize();
  return info.Env().Undefined();
}

Napi::Value beginCapture(const Napi::CallbackInfo& info) {
  if (!outerStream || recording) throw std::logic_error("a graph is recorded once, on the capture stream");
  recording = std::make_unique<CUDAGraph>();
  try {
    recording->capture_begin();
  } catch (...) {
    recording.reset();
    throw;
  }
  return info.Env().Undefined();
}

// Throws where something that was done meanwhile cannot be recorded.
Napi::Value endCapture(const Napi::CallbackInfo& info) {
  if (!recording) throw std::logic_error("no graph is being recorded");
  std::unique_ptr<CUDAGraph> graph = std::move(recording);
  graph->capture_end();
  graphs.emplace(nextGraph, std::move(graph));
  return Napi::Number::New(info.Env(), static_cast<double>(nextGraph++));
}

Napi::Value replayGraph(const Napi::CallbackInfo& info) {
  graphAt(info).replay();
  return info.Env().Undefined();
}

Napi::Value freeGraph(const Napi::CallbackInfo& info) {
  torch::cuda::synchronize();
  graphs.erase(toInteger(State::of(info.Env()), info[0]));
  return info.Env().Undefined();
}

#else

#include <stdexcept>

namespace {

[[noreturn]] Napi::Value refuse() {
  throw std::runtime_error("the libtorch addon was built without CUDA graphs: it needs CUDA's headers, those in crt/ too");
}

}  // namespace

Napi::Value graphsAvailable(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), false); }
Napi::Value enterCaptureStream(const Napi::CallbackInfo&) { refuse(); }
Napi::Value leaveCaptureStream(const Napi::CallbackInfo&) { refuse(); }
Napi::Value beginCapture(const Napi::CallbackInfo&) { refuse(); }
Napi::Value endCapture(const Napi::CallbackInfo&) { refuse(); }
Napi::Value replayGraph(const Napi::CallbackInfo&) { refuse(); }
Napi::Value freeGraph(const Napi::CallbackInfo&) { refuse(); }

#endif
