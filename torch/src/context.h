// What is set for the whole process or thread: gradient recording, autocast, random numbers, threads, devices.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

// "cpu", and what else this libtorch can use now: "cuda", "cuda:1", ..., "mps".
std::vector<std::string> availableDevices();

// setGradEnabled(boolean) -> what it was
Napi::Value setGradEnabled(const Napi::CallbackInfo& info);
// enterAutocast(device, dtype) -> what leaveAutocast(device, previous) needs to restore what was before
Napi::Value enterAutocast(const Napi::CallbackInfo& info);
Napi::Value leaveAutocast(const Napi::CallbackInfo& info);

Napi::Value manualSeed(const Napi::CallbackInfo& info);
// generatorState(device) -> Uint8Array
Napi::Value generatorState(const Napi::CallbackInfo& info);
Napi::Value setGeneratorState(const Napi::CallbackInfo& info);

Napi::Value threads(const Napi::CallbackInfo& info);
Napi::Value setThreads(const Napi::CallbackInfo& info);
// setCudaOptions(tf32?, benchmark?) -> [tf32, benchmark] as they were
Napi::Value setCudaOptions(const Napi::CallbackInfo& info);
// synchronize(device): waits for it
Napi::Value synchronize(const Napi::CallbackInfo& info);
// memory() -> { liveTensors, liveBytes, kept, cuda? }
Napi::Value memory(const Napi::CallbackInfo& info);
// version() -> { built, running }; running is null where libtorch does not tell
Napi::Value version(const Napi::CallbackInfo& info);
Napi::Value devices(const Napi::CallbackInfo& info);
