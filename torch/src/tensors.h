// What a JavaScript Tensor can be asked directly: values, properties, gradients, lifetime.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <vector>

// Argument `index`, an array of Tensors.
std::vector<at::Tensor> tensorsAt(const Napi::CallbackInfo& info, size_t index);

// fromData(typed array, shape, dtype) -> Tensor on the CPU
Napi::Value fromData(const Napi::CallbackInfo& info);
// toData(tensor) -> typed array, row-major
Napi::Value toData(const Napi::CallbackInfo& info);
// copyTo(tensor, typed array, which may be shared memory): row-major, as the array's type
Napi::Value copyTo(const Napi::CallbackInfo& info);
Napi::Value shapeOf(const Napi::CallbackInfo& info);
Napi::Value numelOf(const Napi::CallbackInfo& info);
Napi::Value dtypeOf(const Napi::CallbackInfo& info);
Napi::Value deviceOf(const Napi::CallbackInfo& info);

Napi::Value requiresGradOf(const Napi::CallbackInfo& info);
Napi::Value setRequiresGrad(const Napi::CallbackInfo& info);
Napi::Value gradOf(const Napi::CallbackInfo& info);
// setGrad(tensor, tensor | null)
Napi::Value setGrad(const Napi::CallbackInfo& info);
// backward(tensor, gradient | null)
Napi::Value runBackward(const Napi::CallbackInfo& info);
// grad(outputs, inputs, gradOutputs) -> tensors
Napi::Value gradients(const Napi::CallbackInfo& info);

Napi::Value isFreed(const Napi::CallbackInfo& info);
Napi::Value freeTensor(const Napi::CallbackInfo& info);
// freeHandle(number): for a Tensor that was garbage collected
Napi::Value freeHandle(const Napi::CallbackInfo& info);
Napi::Value openScope(const Napi::CallbackInfo& info);
// closeScope(tensors that move to the scope around it) -> depth that remains
Napi::Value closeScope(const Napi::CallbackInfo& info);
// keep(tensor): moves it out of all scopes
Napi::Value keepTensor(const Napi::CallbackInfo& info);
