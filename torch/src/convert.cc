#include "convert.h"

#include <ATen/core/jit_type.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "context.h"

namespace {

using Kind = Parameter::Kind;
using std::invalid_argument;

constexpr double kMaxSafeInteger = 9007199254740991.0;
constexpr uint32_t kMaxList = 1 << 20;

const std::array<std::pair<const char*, at::ScalarType>, 12> kScalarTypes{{
    {"float32", at::kFloat},
    {"float64", at::kDouble},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"uint8", at::kByte},
    {"bool", at::kBool},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"complex64", at::kComplexFloat},
    {"complex128", at::kComplexDouble},
}};

[[noreturn]] void unsupported(const c10::TypePtr& type) {
  throw invalid_argument("an argument of type " + type->str() + " cannot be given from JavaScript");
}

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return Kind::tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::integer;
    case c10::TypeKind::FloatType: return Kind::real;
    case c10::TypeKind::BoolType: return Kind::boolean;
    case c10::TypeKind::StringType: return Kind::string;
    case c10::TypeKind::NumberType: return Kind::scalar;
    case c10::TypeKind::ScalarTypeType: return Kind::dtype;
    case c10::TypeKind::LayoutType: return Kind::layout;
    case c10::TypeKind::MemoryFormatType: return Kind::memoryFormat;
    case c10::TypeKind::DeviceObjType: return Kind::device;
    case c10::TypeKind::GeneratorType: return Kind::generator;
    default: unsupported(type);
  }
}

[[noreturn]] void expected(const State& state, const char* what, Napi::Value value) {
  throw invalid_argument(std::string("expected ") + what + ", got " + describe(state, value));
}

double toReal(const State& state, Napi::Value value) {
  if (!value.IsNumber()) expected(state, "a number", value);
  return value.As<Napi::Number>().DoubleValue();
}

bool toBoolean(const State& state, Napi::Value value) {
  if (!value.IsBoolean()) expected(state, "true or false", value);
  return value.As<Napi::Boolean>().Value();
}

std::string toText(const State& state, Napi::Value value) {
  if (!value.IsString()) expected(state, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

// Whole numbers become integer scalars, so that an int64 tensor times 2 stays int64 as in PyTorch.
at::Scalar toScalar(const State& state, Napi::Value value) {
  if (value.IsBoolean()) return at::Scalar(value.As<Napi::Boolean>().Value());
  if (value.IsBigInt()) return at::Scalar(toInteger(state, value));
  if (!value.IsNumber()) expected(state, "a number", value);
  const double number = value.As<Napi::Number>().DoubleValue();
  const bool whole = number == std::trunc(number) && std::abs(number) <= kMaxSafeInteger;
  if (whole && !(number == 0 && std::signbit(number))) return at::Scalar(static_cast<int64_t>(number));
  return at::Scalar(number);
}

int64_t toMemoryFormat(const std::string& name) {
  if (name == "contiguous") return static_cast<int64_t>(at::MemoryFormat::Contiguous);
  if (name == "preserve") return static_cast<int64_t>(at::MemoryFormat::Preserve);
  if (name == "channels_last") return static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
  throw invalid_argument("unknown memory format \"" + name + "\"; there are: contiguous, preserve, channels_last");
}

int64_t toLayout(const std::string& name) {
  if (name == "strided") return static_cast<int64_t>(at::kStrided);
  throw invalid_argument("unknown layout \"" + name + "\"; there is: strided");
}

c10::IValue toOne(const State& state, Kind kind, Napi::Value value) {
  switch (kind) {
    case Kind::tensor: return state.unwrap(value.Env(), value);
    case Kind::integer: return toInteger(state, value);
    case Kind::real: return toReal(state, value);
    case Kind::boolean: return toBoolean(state, value);
    case Kind::string: return toText(state, value);
    case Kind::scalar: return toScalar(state, value);
    case Kind::dtype: return static_cast<int64_t>(toScalarType(toText(state, value)));
    case Kind::layout: return toLayout(toText(state, value));
    case Kind::memoryFormat: return toMemoryFormat(toText(state, value));
    case Kind::device: return toDevice(toText(state, value));
    case Kind::generator: expected(state, "null (the device's own generator is used)", value);
  }
  throw std::logic_error("unknown parameter kind");
}

uint32_t lengthOf(Napi::Array array) {
  const uint32_t length = array.Length();
  if (length > kMaxList) throw invalid_argument("a list of " + std::to_string(length) + " values is too long");
  return length;
}

template <typename T, typename Convert>
c10::IValue listOf(Napi::Array array, Convert convert) {
  const uint32_t length = lengthOf(array);
  c10::List<T> list;
  list.reserve(length);
  for (uint32_t i = 0; i < length; ++i) list.push_back(convert(array.Get(i)));
  return list;
}

c10::IValue optionalTensors(const State& state, Napi::Array array) {
  const uint32_t length = lengthOf(array);
  c10::impl::GenericList list(c10::OptionalType::ofTensor());
  for (uint32_t i = 0; i < length; ++i) {
    const Napi::Value value = array.Get(i);
    list.push_back(value.IsNull() ? c10::IValue() : c10::IValue(state.unwrap(value.Env(), value)));
  }
  return list;
}

// int[2]: kernels read as many values as the schema says. An empty list stands only where it is the default.
c10::IValue toFixedList(const State& state, const Parameter& parameter, Napi::Array array) {
  const uint32_t size = static_cast<uint32_t>(parameter.spread);
  const uint32_t length = lengthOf(array);
  if (length == 1) return std::vector<int64_t>(size, toInteger(state, array.Get(0u)));
  const bool isDefault = length == 0 && parameter.hasDefault && parameter.defaultValue.isIntList() &&
                         parameter.defaultValue.toIntVector().empty();
  if (length != size && !isDefault)
    throw invalid_argument("expected 1 or " + std::to_string(size) + " integers, got " + std::to_string(length));
  return listOf<int64_t>(array, [&](Napi::Value item) { return toInteger(state, item); });
}

c10::IValue toList(const State& state, const Parameter& parameter, Napi::Value value) {
  if (!value.IsArray()) {
    if (parameter.spread == 0 || parameter.kind != Kind::integer) expected(state, "an array", value);
    return std::vector<int64_t>(parameter.spread, toInteger(state, value));
  }
  if (parameter.spread > 1 && parameter.kind == Kind::integer) return toFixedList(state, parameter, value.As<Napi::Array>());
  const Napi::Array array = value.As<Napi::Array>();
  if (parameter.hasOptionalElements) return optionalTensors(state, array);
  switch (parameter.kind) {
    case Kind::tensor:
      return listOf<at::Tensor>(array, [&](Napi::Value item) { return state.unwrap(item.Env(), item); });
    case Kind::integer: return listOf<int64_t>(array, [&](Napi::Value item) { return toInteger(state, item); });
    case Kind::real: return listOf<double>(array, [&](Napi::Value item) { return toReal(state, item); });
    case Kind::boolean: return listOf<bool>(array, [&](Napi::Value item) { return toBoolean(state, item); });
    case Kind::scalar: return listOf<at::Scalar>(array, [&](Napi::Value item) { return toScalar(state, item); });
    default: throw std::logic_error("a list of this type was not refused");
  }
}

bool hasListForm(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::tensor: return true;
    case Kind::integer:
    case Kind::real:
    case Kind::boolean:
    case Kind::scalar: return !parameter.hasOptionalElements;
    default: return false;
  }
}

std::string describeTensor(const at::Tensor& tensor) {
  std::string text = nameOf(tensor.scalar_type()) + "[";
  for (int64_t i = 0; i < tensor.dim(); ++i) text += (i ? ", " : "") + std::to_string(tensor.size(i));
  return text + "]" + (tensor.is_cpu() ? "" : " on " + tensor.device().str());
}

}  // namespace

Parameter parameterOf(const c10::Argument& argument) {
  Parameter parameter;
  parameter.name = argument.name();
  c10::TypePtr type = argument.real_type();
  if (auto optional = type->cast<c10::OptionalType>()) {
    parameter.isOptional = true;
    type = optional->getElementType();
  }
  if (auto list = type->cast<c10::ListType>()) {
    parameter.isList = true;
    parameter.spread = argument.N().value_or(0);
    type = list->getElementType();
    if (auto optional = type->cast<c10::OptionalType>()) {
      parameter.hasOptionalElements = true;
      type = optional->getElementType();
    }
  }
  parameter.kind = kindOf(type);
  if (parameter.isList && !hasListForm(parameter)) unsupported(argument.real_type());
  if (argument.default_value()) {
    parameter.hasDefault = true;
    parameter.defaultValue = *argument.default_value();
  }
  return parameter;
}

c10::IValue toIValue(const State& state, const Parameter& parameter, Napi::Value value) {
  if (value.IsEmpty() || value.IsUndefined()) {
    if (parameter.hasDefault) return parameter.defaultValue;
    if (parameter.isOptional) return {};
    throw invalid_argument("argument \"" + parameter.name + "\" is missing");
  }
  if (value.IsNull() && parameter.isOptional) return {};
  try {
    return parameter.isList ? toList(state, parameter, value) : toOne(state, parameter.kind, value);
  } catch (const invalid_argument& error) {
    throw invalid_argument("argument \"" + parameter.name + "\": " + error.what());
  }
}

Napi::Value fromIValue(State& state, Napi::Env env, const c10::IValue& value) {
  if (value.isTensor()) return state.wrap(env, value.toTensor());
  if (value.isNone()) return env.Null();
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isDevice()) return Napi::String::New(env, value.toDevice().str());
  if (value.isInt()) {
    const int64_t integer = value.toInt();
    if (std::abs(static_cast<double>(integer)) > kMaxSafeInteger) return Napi::BigInt::New(env, integer);
    return Napi::Number::New(env, static_cast<double>(integer));
  }
  if (value.isList()) {
    const auto list = value.toList();
    Napi::Array array = Napi::Array::New(env, list.size());
    for (size_t i = 0; i < list.size(); ++i) array.Set(static_cast<uint32_t>(i), fromIValue(state, env, list.get(i)));
    return array;
  }
  throw std::runtime_error("a result of type " + value.tagKind() + " cannot be given to JavaScript");
}

at::ScalarType toScalarType(const std::string& name) {
  for (const auto& [known, type] : kScalarTypes)
    if (name == known) return type;
  throw invalid_argument("unknown dtype \"" + name +
                         "\"; there are: float32, float64, float16, bfloat16, int64, int32, uint8, bool");
}

std::string nameOf(at::ScalarType type) {
  for (const auto& [name, known] : kScalarTypes)
    if (type == known) return name;
  return c10::toString(type);
}

c10::Device toDevice(const std::string& name) {
  const std::vector<std::string> names = availableDevices();
  const std::string first = name == "cuda:0" ? "cuda" : name;
  if (std::find(names.begin(), names.end(), first) != names.end()) return c10::Device(name);
  throw invalid_argument("device \"" + name + "\" is not available; there are: " + c10::Join(", ", names));
}

int64_t toInteger(const State& state, Napi::Value value) {
  if (value.IsBigInt()) {
    bool lossless = false;
    const int64_t integer = value.As<Napi::BigInt>().Int64Value(&lossless);
    if (!lossless) expected(state, "an integer of 64 bits", value);
    return integer;
  }
  if (!value.IsNumber()) expected(state, "an integer", value);
  const double number = value.As<Napi::Number>().DoubleValue();
  if (number != std::trunc(number) || std::abs(number) > kMaxSafeInteger) expected(state, "an integer", value);
  return static_cast<int64_t>(number);
}

std::string describe(const State& state, Napi::Value value) {
  if (value.IsEmpty()) return "nothing";
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_symbol: return "a symbol";
    case napi_function: return "a function";
    case napi_string: {
      const std::string text = value.As<Napi::String>().Utf8Value();
      return "\"" + (text.size() <= 40 ? text : text.substr(0, 40) + "...") + "\"";
    }
    case napi_object: break;
    default: return value.ToString().Utf8Value();
  }
  const State::Lookup result = state.lookup(value.Env(), value);
  if (result.found) return describeTensor(*result.found);
  if (result.isTensor) return "a freed Tensor";
  if (value.IsArray()) return "an array of " + std::to_string(value.As<Napi::Array>().Length());
  if (value.IsPromise()) return "a Promise";
  return "an object that is not a Tensor";
}
