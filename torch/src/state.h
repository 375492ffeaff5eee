// What one JavaScript environment holds: the tensors it can reach, its scopes, the operators it has looked up.
//
// A JavaScript Tensor carries a number, not a pointer: slot + generation. A freed or forged handle is therefore found
// out by one comparison and can never reach memory, a scope frees its tensors without touching JavaScript objects, and
// no weak references are made (finalizers run only when the event loop turns, so a long synchronous loop would not be
// cleaned up by them).
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

struct Operator;
struct Distributed;

class TensorTable {
 public:
  using Handle = uint64_t;

  Handle add(at::Tensor tensor);
  // Null when the tensor was freed or the handle was never given out. Valid until the next call of this table.
  const at::Tensor* find(double handle) const;
  void free(double handle);

  size_t depth() const { return scopes_.size(); }
  void openScope() { scopes_.push_back(made_.size()); }
  // Frees what the innermost scope made, except what was moved out of it.
  void closeScope();
  // Lets the tensor live as long as the scope at this depth (0: until it is freed or collected).
  void moveTo(double handle, size_t depth);

  size_t live() const { return live_; }
  int64_t liveBytes() const;
  // Bytes of tensors outside all scopes, which only garbage collection can free; the collector is told about them.
  int64_t collectableBytes() const { return collectableBytes_; }

 private:
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 1;
    uint32_t depth = 0;
    int64_t collectable = 0;
  };

  const Slot* slotOf(double handle) const;
  void release(uint32_t index);

  std::vector<Slot> slots_;
  std::vector<uint32_t> vacant_;
  std::vector<Handle> made_;    // handles made inside the open scopes, outermost first
  std::vector<size_t> scopes_;  // where each scope begins in made_
  size_t live_ = 0;
  int64_t collectableBytes_ = 0;
};

struct State {
  State();
  ~State();

  TensorTable tensors;
  std::vector<std::unique_ptr<Operator>> operators;
  std::unordered_map<std::string, uint32_t> operatorIds;
  Napi::FunctionReference tensorClass;
  Napi::Reference<Napi::Symbol> handleKey;
  Napi::FunctionReference warningListener;
  std::shared_ptr<Distributed> distributed;  // null outside a process group
  int64_t reportedBytes = 0;

  static State& of(Napi::Env env) { return *env.GetInstanceData<State>(); }

  // A new JavaScript Tensor, or null for an undefined one.
  Napi::Value wrap(Napi::Env env, at::Tensor tensor);

  struct Lookup {
    bool isTensor;  // the value is a JavaScript Tensor
    double handle;
    const at::Tensor* found;  // null when it was freed
  };
  Lookup lookup(Napi::Env env, napi_value value) const;

  // The tensor behind a JavaScript Tensor; throws std::invalid_argument naming what was given instead.
  at::Tensor unwrap(Napi::Env env, napi_value value) const;

  // Tells the garbage collector how much memory its Tensors hold, once the figure moved enough to matter.
  void reportMemory(Napi::Env env);
};
