// Processes that compute together, for JavaScript: one group per process.
#pragma once

#include <napi.h>

// distributedBackends() -> what this addon can join by: "gloo", "nccl"
Napi::Value distributedBackends(const Napi::CallbackInfo& info);
// joinGroup(backend, address, port, rank, size, milliseconds, file): waits for all ranks; in the file, unless it is ""
Napi::Value joinGroup(const Napi::CallbackInfo& info);
Napi::Value leaveGroup(const Napi::CallbackInfo& info);
// groupFailed() -> whether an operation of the group has failed: it is of no more use
Napi::Value groupFailed(const Napi::CallbackInfo& info);

// sumOverRanks(tensor): in place
Napi::Value sumOverRanks(const Napi::CallbackInfo& info);
// broadcastTensors(tensors): they become rank 0's
Napi::Value broadcastTensors(const Napi::CallbackInfo& info);
// gatherRows(tensor [n, ...]) -> [size * n, ...], differentiable
Napi::Value gatherRows(const Napi::CallbackInfo& info);

// makeReducer(parameters, bytes of a bucket) -> number
Napi::Value makeReducer(const Napi::CallbackInfo& info);
Napi::Value armReducer(const Napi::CallbackInfo& info);
Napi::Value finishReducer(const Napi::CallbackInfo& info);
Napi::Value freeReducer(const Napi::CallbackInfo& info);
