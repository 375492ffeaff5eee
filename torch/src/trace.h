// Where time goes: what libtorch computes between two calls.
#pragma once

#include <napi.h>

// startTrace(device): at the end of each outermost call it waits for the device.
Napi::Value startTrace(const Napi::CallbackInfo& info);
// stopTrace() -> [{path, arguments, forward, forwardArguments, calls, seconds, bytes}]: see trace.ts
Napi::Value stopTrace(const Napi::CallbackInfo& info);

// beginRegion(name), endRegion(): calls between them have "region:name" in their paths.
Napi::Value beginRegion(const Napi::CallbackInfo& info);
Napi::Value endRegion(const Napi::CallbackInfo& info);
