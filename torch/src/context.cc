#include "context.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <torch/cuda.h>

#include <mutex>

#include "memory/allocator.h"
#include "state.h"
#include "convert.h"
#include "version.h"

#if __has_include(<c10/core/CachingDeviceAllocator.h>)
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace {

struct Autocast {
  bool enabled;
  at::ScalarType dtype;
};

#if TORCH_AT_LEAST(2, 4)
Autocast currentAutocast(c10::DeviceType device) {
  return {at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)};
}
void setAutocast(c10::DeviceType device, Autocast autocast) {
  at::autocast::set_autocast_enabled(device, autocast.enabled);
  at::autocast::set_autocast_dtype(device, autocast.dtype);
}
#else
Autocast currentAutocast(c10::DeviceType device) {
  if (device == c10::kCPU) return {at::autocast::is_cpu_enabled(), at::autocast::get_autocast_cpu_dtype()};
  return {at::autocast::is_enabled(), at::autocast::get_autocast_gpu_dtype()};
}
void setAutocast(c10::DeviceType device, Autocast autocast) {
  if (device == c10::kCPU) {
    at::autocast::set_cpu_enabled(autocast.enabled);
    at::autocast::set_autocast_cpu_dtype(autocast.dtype);
  } else {
    at::autocast::set_enabled(autocast.enabled);
    at::autocast::set_autocast_gpu_dtype(autocast.dtype);
  }
}
#endif

c10::Device deviceAt(const Napi::CallbackInfo& info, size_t index) {
  return toDevice(info[index].As<Napi::String>().Utf8Value());
}

at::Generator generatorOf(c10::Device device) {
  if (device.is_cpu()) return at::globalContext().defaultGenerator(device);
  if (!device.is_cuda()) throw std::invalid_argument("the generator of " + device.str() + " cannot be read");
#if TORCH_AT_LEAST(2, 6)
  at::globalContext().lazyInitDevice(c10::kCUDA);
#else
  at::globalContext().lazyInitCUDA();
#endif
  return at::globalContext().defaultGenerator(device.has_index() ? device : c10::Device(c10::kCUDA, 0));
}

}  // namespace

Napi::Value setGradEnabled(const Napi::CallbackInfo& info) {
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(info[0].ToBoolean());
  return Napi::Boolean::New(info.Env(), before);
}

Napi::Value enterAutocast(const Napi::CallbackInfo& info) {
  const c10::DeviceType device = deviceAt(info, 0).type();
  const at::ScalarType dtype = toScalarType(info[1].As<Napi::String>().Utf8Value());
  if (device != c10::kCPU && device != c10::kCUDA) throw std::invalid_argument("autocast: the device is cpu or cuda");
  const bool known = dtype == at::kBFloat16 || (dtype == at::kHalf && (device == c10::kCUDA || TORCH_AT_LEAST(2, 3)));
  if (!known) {
    throw std::invalid_argument("autocast: dtype " + nameOf(dtype) + " is not possible on " +
                                c10::DeviceTypeName(device, true) + " with libtorch " TORCH_VERSION);
  }
  const Autocast before = currentAutocast(device);
  setAutocast(device, {true, dtype});
  at::autocast::increment_nesting();
  Napi::Array previous = Napi::Array::New(info.Env(), 2);
  previous.Set(0u, Napi::Boolean::New(info.Env(), before.enabled));
  previous.Set(1u, Napi::String::New(info.Env(), nameOf(before.dtype)));
  return previous;
}

Napi::Value leaveAutocast(const Napi::CallbackInfo& info) {
  const Napi::Array previous = info[1].As<Napi::Array>();
  // The casts of parameters are cached until the outermost autocast ends.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  setAutocast(deviceAt(info, 0).type(), {previous.Get(0u).ToBoolean(),
                                         toScalarType(previous.Get(1u).As<Napi::String>().Utf8Value())});
  return info.Env().Undefined();
}

Napi::Value manualSeed(const Napi::CallbackInfo& info) {
  const int64_t seed = toInteger(State::of(info.Env()), info[0]);
  at::manual_seed(static_cast<uint64_t>(seed));
  return info.Env().Undefined();
}

Napi::Value generatorState(const Napi::CallbackInfo& info) {
  at::Generator generator = generatorOf(deviceAt(info, 0));
  const std::lock_guard<std::mutex> lock(generator.mutex());
  const at::Tensor state = generator.get_state().to(at::kCPU).contiguous();
  Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), static_cast<size_t>(state.numel()));
  std::memcpy(bytes.Data(), state.data_ptr(), bytes.ByteLength());
  return bytes;
}

Napi::Value setGeneratorState(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw std::invalid_argument("expected a Uint8Array from generatorState()");
  const Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  at::Generator generator = generatorOf(deviceAt(info, 1));
  at::Tensor state = at::empty({static_cast<int64_t>(bytes.ByteLength())}, at::kByte);
  std::memcpy(state.data_ptr(), bytes.Data(), bytes.ByteLength());
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
  return info.Env().Undefined();
}

Napi::Value threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), at::get_num_threads()); }

Napi::Value setThreads(const Napi::CallbackInfo& info) {
  const int64_t count = toInteger(State::of(info.Env()), info[0]);
  if (count < 1 || count > 1024) throw std::invalid_argument("expected 1 to 1024 threads, got " + std::to_string(count));
  at::set_num_threads(static_cast<int>(count));
  return info.Env().Undefined();
}

Napi::Value setCudaOptions(const Napi::CallbackInfo& info) {
  at::Context& context = at::globalContext();
  Napi::Array before = Napi::Array::New(info.Env(), 2);
  before.Set(0u, Napi::Boolean::New(info.Env(), context.allowTF32CuBLAS() && context.allowTF32CuDNN()));
  before.Set(1u, Napi::Boolean::New(info.Env(), context.benchmarkCuDNN()));
  if (info[0].IsBoolean()) {
    context.setAllowTF32CuBLAS(info[0].ToBoolean());
    context.setAllowTF32CuDNN(info[0].ToBoolean());
  }
  if (info[1].IsBoolean()) context.setBenchmarkCuDNN(info[1].ToBoolean());
  return before;
}

Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const c10::Device device = deviceAt(info, 0);
  if (device.is_cuda()) torch::cuda::synchronize(device.has_index() ? device.index() : -1);
  return info.Env().Undefined();
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const TensorTable& tensors = State::of(info.Env()).tensors;
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("liveTensors", Napi::Number::New(info.Env(), static_cast<double>(tensors.live())));
  result.Set("liveBytes", Napi::Number::New(info.Env(), static_cast<double>(tensors.liveBytes())));
  result.Set("kept", Napi::Number::New(info.Env(), static_cast<double>(keptBytes())));
#if TORCH_AT_LEAST(2, 9)
  const size_t count = torch::cuda::device_count();
  if (count > 0) {
    at::globalContext().lazyInitDevice(c10::kCUDA);
    Napi::Array cuda = Napi::Array::New(info.Env(), count);
    for (size_t i = 0; i < count; ++i) {
      const auto stats = c10::getDeviceAllocator(c10::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(i));
      Napi::Object device = Napi::Object::New(info.Env());
      device.Set("allocated", static_cast<double>(stats.allocated_bytes[0].current));
      device.Set("peak", static_cast<double>(stats.allocated_bytes[0].peak));
      device.Set("reserved", static_cast<double>(stats.reserved_bytes[0].current));
      cuda.Set(static_cast<uint32_t>(i), device);
    }
    result.Set("cuda", cuda);
  }
#endif
  return result;
}

Napi::Value version(const Napi::CallbackInfo& info) {
  const std::string config = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const size_t start = config.find(key);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("built", Napi::String::New(info.Env(), TORCH_VERSION));
  result.Set("running", info.Env().Null());
  if (start != std::string::npos) {
    const size_t from = start + key.size();
    result.Set("running", Napi::String::New(info.Env(), config.substr(from, config.find(',', from) - from)));
  }
  return result;
}

std::vector<std::string> availableDevices() {
  std::vector<std::string> names{"cpu"};
  const size_t cudaDevices = torch::cuda::device_count();
  if (cudaDevices > 0) names.push_back("cuda");
  for (size_t i = 1; i < cudaDevices; ++i) names.push_back("cuda:" + std::to_string(i));
  if (at::hasMPS()) names.push_back("mps");
  return names;
}

Napi::Value devices(const Napi::CallbackInfo& info) {
  const std::vector<std::string> names = availableDevices();
  Napi::Array array = Napi::Array::New(info.Env(), names.size());
  for (size_t i = 0; i < names.size(); ++i) array.Set(static_cast<uint32_t>(i), Napi::String::New(info.Env(), names[i]));
  return array;
}
