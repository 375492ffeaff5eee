// Where time goes: what libtorch computes between two calls.
#pragma once

#include <napi.h>

// startTrace()
Napi::Value startTrace(const Napi::CallbackInfo& info);
// stopTrace() -> [{path, arguments, calls, seconds, bytes}]: see trace.ts
Napi::Value stopTrace(const Napi::CallbackInfo& info);
