// Values between JavaScript and libtorch.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <napi.h>

#include <string>

#include "state.h"

// A parameter of an operator, as its schema declares it.
struct Parameter {
  enum class Kind { tensor, integer, real, boolean, string, scalar, dtype, layout, memoryFormat, device, generator };

  std::string name;
  Kind kind;
  bool isList = false;
  bool isOptional = false;
  bool hasOptionalElements = false;  // Tensor?[]
  int32_t spread = 0;                // int[2]: one number stands for two equal ones
  bool hasDefault = false;
  c10::IValue defaultValue;
};

// Throws std::invalid_argument when the type has no JavaScript form (Storage, Stream, Dimname, ...).
Parameter parameterOf(const c10::Argument& argument);

// Throws std::invalid_argument naming the parameter and what was given. `undefined` takes the schema's default.
c10::IValue toIValue(const State& state, const Parameter& parameter, Napi::Value value);
Napi::Value fromIValue(State& state, Napi::Env env, const c10::IValue& value);

at::ScalarType toScalarType(const std::string& name);
std::string nameOf(at::ScalarType type);
// Throws std::invalid_argument for a device that cannot be used here.
c10::Device toDevice(const std::string& name);
int64_t toInteger(const State& state, Napi::Value value);

// A short description for error messages: "float32[2, 3]", "freed Tensor", "\"abc\"", "null", "array of 3".
std::string describe(const State& state, Napi::Value value);
