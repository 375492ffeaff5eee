// Any ATen operator, by its schema.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <napi.h>

#include <string>
#include <vector>

#include "convert.h"

struct Operator {
  explicit Operator(c10::OperatorHandle handle);

  c10::OperatorHandle handle;
  std::string name;  // "aten::add.Tensor"
  std::vector<Parameter> parameters;
  bool listsMatch;  // _foreach_add_.List, ...: its lists have one length, which not every kernel checks
  // For each result: the parameter it is (`Tensor(a!)`, what an in-place operator returns), or -1 for a new value.
  std::vector<int> aliases;
};

// find(name, overload) -> { id, schema, parameters } | null
Napi::Value findOperator(const Napi::CallbackInfo& info);
// call(id, ...arguments) -> result, array of results, or undefined
Napi::Value callOperator(const Napi::CallbackInfo& info);
// operatorNames() -> ["aten::add.Tensor", ...]
Napi::Value operatorNames(const Napi::CallbackInfo& info);
