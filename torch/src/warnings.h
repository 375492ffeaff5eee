// libtorch's warnings go to a JavaScript function instead of the process's standard error, once per place they come from.
#pragma once

#include <napi.h>

// onWarning(function taking a message)
Napi::Value onWarning(const Napi::CallbackInfo& info);

// Hands over what libtorch warned of since the last time.
void reportWarnings(Napi::Env env);
