// CUDA graphs for JavaScript: work of a GPU that is recorded once and given to it again by one call. Where the addon was
// built without CUDA's headers the functions exist, and all but `graphsAvailable` throw.
#pragma once

#include <napi.h>

Napi::Value graphsAvailable(const Napi::CallbackInfo& info);
Napi::Value enterCaptureStream(const Napi::CallbackInfo& info);
Napi::Value leaveCaptureStream(const Napi::CallbackInfo& info);
Napi::Value beginCapture(const Napi::CallbackInfo& info);
Napi::Value endCapture(const Napi::CallbackInfo& info);
Napi::Value replayGraph(const Napi::CallbackInfo& info);
Napi::Value freeGraph(const Napi::CallbackInfo& info);
