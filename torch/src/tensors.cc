#include "tensors.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <cstring>

#include "state.h"
#include "convert.h"

namespace {

at::Tensor tensorAt(const Napi::CallbackInfo& info, size_t index) {
  return State::of(info.Env()).unwrap(info.Env(), info[index]);
}

std::string shapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<int64_t> shapeAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsArray()) throw std::invalid_argument("expected a shape: an array of sizes");
  const Napi::Array array = info[index].As<Napi::Array>();
  std::vector<int64_t> shape;
  for (uint32_t i = 0; i < array.Length(); ++i) shape.push_back(toInteger(State::of(info.Env()), array.Get(i)));
  return shape;
}

// Number of elements; throws on a negative size and where the product is beyond what an array can hold.
int64_t elementsOf(const std::vector<int64_t>& shape) {
  double product = 1;
  for (const int64_t size : shape) {
    if (size < 0) throw std::invalid_argument("shape " + shapeText(shape) + " has a negative size");
    product *= static_cast<double>(size);
  }
  if (product > 1e15) throw std::invalid_argument("shape " + shapeText(shape) + " is too large");
  return static_cast<int64_t>(product);
}

Napi::Value emptyTypedArray(Napi::Env env, at::ScalarType type, Napi::ArrayBuffer buffer, size_t length) {
  switch (type) {
    case at::kFloat: return Napi::Float32Array::New(env, length, buffer, 0);
    case at::kDouble: return Napi::Float64Array::New(env, length, buffer, 0);
    case at::kHalf:
    case at::kBFloat16: return Napi::Uint16Array::New(env, length, buffer, 0);
    case at::kLong: return Napi::BigInt64Array::New(env, length, buffer, 0);
    case at::kInt: return Napi::Int32Array::New(env, length, buffer, 0);
    case at::kByte:
    case at::kBool: return Napi::Uint8Array::New(env, length, buffer, 0);
    default: throw std::invalid_argument("a tensor of dtype " + nameOf(type) + " has no typed array; use to({ dtype })");
  }
}

at::ScalarType typeOfElements(napi_typedarray_type type) {
  switch (type) {
    case napi_float32_array: return at::kFloat;
    case napi_float64_array: return at::kDouble;
    case napi_bigint64_array: return at::kLong;
    case napi_int32_array: return at::kInt;
    case napi_uint8_array: return at::kByte;
    default: throw std::invalid_argument("expected a Float32Array, Float64Array, BigInt64Array, Int32Array or Uint8Array");
  }
}

// One thread fills a fresh page more slowly than a GPU takes it.
void copyBytes(void* target, const uint8_t* source, size_t bytes) {
  at::parallel_for(0, static_cast<int64_t>(bytes), 1 << 20, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<uint8_t*>(target) + begin, source + begin, static_cast<size_t>(end - begin));
  });
}

}  // namespace

std::vector<at::Tensor> tensorsAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsArray()) throw std::invalid_argument("expected an array of Tensors");
  const Napi::Array array = info[index].As<Napi::Array>();
  std::vector<at::Tensor> tensors;
  for (uint32_t i = 0; i < array.Length(); ++i)
    tensors.push_back(State::of(info.Env()).unwrap(info.Env(), array.Get(i)));
  return tensors;
}

// fromData(typedArray, shape, dtype, pinned): a copy on the host; pinned memory is copied to a GPU without waiting.
Napi::Value fromData(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) throw std::invalid_argument("expected a typed array");
  const Napi::TypedArray array = info[0].As<Napi::TypedArray>();
  const std::vector<int64_t> shape = shapeAt(info, 1);
  const at::ScalarType type = toScalarType(info[2].As<Napi::String>().Utf8Value());
  const int64_t elements = elementsOf(shape);
  if (static_cast<int64_t>(array.ElementLength()) != elements || array.ElementSize() != c10::elementSize(type)) {
    throw std::invalid_argument("shape " + shapeText(shape) + " of " + nameOf(type) + " needs " +
                                std::to_string(elements * c10::elementSize(type)) + " bytes, the data has " +
                                std::to_string(array.ByteLength()));
  }
  const bool pinned = info[3].ToBoolean() && torch::cuda::is_available();
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(type).pinned_memory(pinned));
  // Asked of the view: node-addon-api's ArrayBuffer refuses shared memory.
  void* data = nullptr;
  napi_get_typedarray_info(info.Env(), array, nullptr, nullptr, &data, nullptr, nullptr);
  const auto* source = static_cast<const uint8_t*>(data);
  if (type == at::kBool) {
    bool* target = tensor.data_ptr<bool>();
    for (int64_t i = 0; i < elements; ++i) target[i] = source[i] != 0;
  } else if (elements > 0) {
    copyBytes(tensor.data_ptr(), source, array.ByteLength());
  }
  return State::of(info.Env()).wrap(info.Env(), std::move(tensor));
}

Napi::Value toData(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = tensorAt(info, 0);
  const size_t elements = static_cast<size_t>(tensor.numel());
  const size_t bytes = elements * tensor.itemsize();
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), bytes);
  Napi::Value array = emptyTypedArray(info.Env(), tensor.scalar_type(), buffer, elements);
  const at::Tensor host = tensor.detach().resolve_conj().resolve_neg().to(at::kCPU).contiguous();
  if (bytes > 0) std::memcpy(buffer.Data(), host.data_ptr(), bytes);
  return array;
}

Napi::Value copyTo(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = tensorAt(info, 0);
  if (!info[1].IsTypedArray()) throw std::invalid_argument("expected a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  // Not by node-addon-api: it refuses shared memory.
  napi_get_typedarray_info(info.Env(), info[1], &type, &length, &data, nullptr, nullptr);
  const at::ScalarType scalarType = typeOfElements(type);
  if (static_cast<int64_t>(length) != tensor.numel()) {
    throw std::invalid_argument("a tensor of " + std::to_string(tensor.numel()) + " elements does not fill " +
                                std::to_string(length));
  }
  const at::NoGradGuard withoutGradients;
  if (length > 0) at::from_blob(data, tensor.sizes(), at::TensorOptions().dtype(scalarType)).copy_(tensor);
  return info.Env().Undefined();
}

Napi::Value shapeOf(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = tensorAt(info, 0);
  const auto sizes = tensor.sizes();
  Napi::Array shape = Napi::Array::New(info.Env(), sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) shape.Set(static_cast<uint32_t>(i), static_cast<double>(sizes[i]));
  return shape;
}

Napi::Value numelOf(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(tensorAt(info, 0).numel()));
}

Napi::Value dtypeOf(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), nameOf(tensorAt(info, 0).scalar_type()));
}

Napi::Value deviceOf(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tensorAt(info, 0).device().str());
}

Napi::Value requiresGradOf(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), tensorAt(info, 0).requires_grad());
}

Napi::Value setRequiresGrad(const Napi::CallbackInfo& info) {
  tensorAt(info, 0).requires_grad_(info[1].ToBoolean());
  return info.Env().Undefined();
}

Napi::Value gradOf(const Napi::CallbackInfo& info) {
  return State::of(info.Env()).wrap(info.Env(), tensorAt(info, 0).grad());
}

Napi::Value setGrad(const Napi::CallbackInfo& info) {
  at::Tensor tensor = tensorAt(info, 0);
  at::Tensor gradient;
  if (!info[1].IsNull()) {
    gradient = tensorAt(info, 1);
    const bool alike = gradient.sizes() == tensor.sizes() && gradient.scalar_type() == tensor.scalar_type() &&
                       gradient.device() == tensor.device();
    if (!alike) {
      const State& state = State::of(info.Env());
      throw std::invalid_argument("a gradient must match its tensor: expected " + describe(state, info[0]) + ", got " +
                                  describe(state, info[1]));
    }
  }
  tensor.mutable_grad() = gradient;
  return info.Env().Undefined();
}

Napi::Value runBackward(const Napi::CallbackInfo& info) {
  std::vector<at::Tensor> gradient;
  if (!info[1].IsNull()) gradient.push_back(tensorAt(info, 1));
  RECORD_USER_SCOPE("backward pass");
  torch::autograd::backward({tensorAt(info, 0)}, gradient);
  return info.Env().Undefined();
}

Napi::Value gradients(const Napi::CallbackInfo& info) {
  const auto results = torch::autograd::grad(tensorsAt(info, 0), tensorsAt(info, 1), tensorsAt(info, 2));
  Napi::Array array = Napi::Array::New(info.Env(), results.size());
  for (size_t i = 0; i < results.size(); ++i)
    array.Set(static_cast<uint32_t>(i), State::of(info.Env()).wrap(info.Env(), results[i]));
  return array;
}

Napi::Value isFreed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !State::of(info.Env()).lookup(info.Env(), info[0]).found);
}

Napi::Value freeTensor(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const State::Lookup result = state.lookup(info.Env(), info[0]);
  if (!result.isTensor) tensorAt(info, 0);
  state.tensors.free(result.handle);
  state.reportMemory(info.Env());
  return info.Env().Undefined();
}

Napi::Value freeHandle(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (info[0].IsNumber()) state.tensors.free(info[0].As<Napi::Number>().DoubleValue());
  state.reportMemory(info.Env());
  return info.Env().Undefined();
}

Napi::Value openScope(const Napi::CallbackInfo& info) {
  State::of(info.Env()).tensors.openScope();
  return info.Env().Undefined();
}

Napi::Value closeScope(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  TensorTable& tensors = state.tensors;
  const Napi::Array kept = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < kept.Length() && tensors.depth() > 0; ++i)
    tensors.moveTo(state.lookup(info.Env(), kept.Get(i)).handle, tensors.depth() - 1);
  tensors.closeScope();
  state.reportMemory(info.Env());
  return Napi::Number::New(info.Env(), static_cast<double>(tensors.depth()));
}

Napi::Value keepTensor(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  tensorAt(info, 0);
  state.tensors.moveTo(state.lookup(info.Env(), info[0]).handle, 0);
  state.reportMemory(info.Env());
  return info.Env().Undefined();
}
