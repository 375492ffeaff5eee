// libtorch's memory on the processor, kept between uses: large blocks come from an arena (arena.h), the others from the
// allocator that was there before. Pinned memory and that of other devices have allocators of their own.
#pragma once

#include <napi.h>

#include <cstddef>

// From now on, for the whole process. Nothing happens where there is no arena: outside Linux, or where `ulimit -v` or `-d` is set.
void useArena();

// Bytes that are mapped and in no live block.
size_t keptBytes();

// releaseMemory() -> bytes handed back to the system
Napi::Value releaseMemory(const Napi::CallbackInfo& info);
