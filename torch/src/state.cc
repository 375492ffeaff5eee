#include "state.h"

#include <unordered_set>

#include "convert.h"
#include "operators.h"

namespace {

// 2^22 live tensors; 2^31 generations of each slot, so a handle is an integer below 2^53, exact as a JavaScript number.
constexpr uint32_t kSlotBits = 22;
constexpr uint32_t kMaxSlots = 1u << kSlotBits;
constexpr uint32_t kLastGeneration = 0x7fffffff;
constexpr double kMaxHandle = 9007199254740992.0;
constexpr int64_t kReportEvery = 1 << 20;

int64_t bytesOf(const at::Tensor& tensor) {
  return static_cast<int64_t>(tensor.numel()) * static_cast<int64_t>(tensor.itemsize());
}

}  // namespace

TensorTable::Handle TensorTable::add(at::Tensor tensor) {
  if (vacant_.empty()) {
    if (slots_.size() == kMaxSlots) throw std::length_error("more than 4194304 live tensors: is a scope(...) missing?");
    vacant_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = vacant_.back();
  vacant_.pop_back();
  Slot& slot = slots_[index];
  slot.tensor = std::move(tensor);
  slot.depth = static_cast<uint32_t>(depth());
  if (slot.depth == 0) collectableBytes_ += slot.collectable = bytesOf(slot.tensor);
  const Handle handle = (static_cast<Handle>(slot.generation) << kSlotBits) | index;
  if (slot.depth > 0) made_.push_back(handle);
  ++live_;
  return handle;
}

const TensorTable::Slot* TensorTable::slotOf(double handle) const {
  if (!(handle >= 0 && handle < kMaxHandle)) return nullptr;
  const Handle bits = static_cast<Handle>(handle);
  const uint32_t index = bits & (kMaxSlots - 1);
  if (static_cast<double>(bits) != handle || index >= slots_.size()) return nullptr;
  const Slot& slot = slots_[index];
  return slot.generation == bits >> kSlotBits && slot.tensor.defined() ? &slot : nullptr;
}

const at::Tensor* TensorTable::find(double handle) const {
  const Slot* slot = slotOf(handle);
  return slot ? &slot->tensor : nullptr;
}

void TensorTable::free(double handle) {
  if (const Slot* slot = slotOf(handle)) release(static_cast<uint32_t>(slot - slots_.data()));
}

void TensorTable::release(uint32_t index) {
  Slot& slot = slots_[index];
  collectableBytes_ -= slot.collectable;
  slot.collectable = 0;
  --live_;
  // A slot whose generations are used up is retired: its handles would repeat.
  if (slot.generation++ < kLastGeneration) vacant_.push_back(index);
  slot.tensor.reset();
}

void TensorTable::closeScope() {
  if (scopes_.empty()) throw std::logic_error("no scope is open");
  const size_t begin = scopes_.back();
  scopes_.pop_back();
  size_t kept = begin;
  for (size_t i = begin; i < made_.size(); ++i) {
    const Handle handle = made_[i];
    const Slot* slot = slotOf(static_cast<double>(handle));
    if (!slot) continue;
    if (slot->depth > depth()) {
      release(handle & (kMaxSlots - 1));
    } else if (slot->depth > 0) {
      made_[kept++] = handle;
    }
  }
  made_.resize(kept);
}

void TensorTable::moveTo(double handle, size_t depth) {
  const Slot* found = slotOf(handle);
  if (!found || found->depth <= depth) return;
  Slot& slot = slots_[found - slots_.data()];
  slot.depth = static_cast<uint32_t>(depth);
  if (depth == 0) collectableBytes_ += slot.collectable = bytesOf(slot.tensor);
}

int64_t TensorTable::liveBytes() const {
  std::unordered_set<const void*> seen;
  int64_t bytes = 0;
  for (const Slot& slot : slots_) {
    if (!slot.tensor.defined() || !slot.tensor.has_storage()) continue;
    const auto& storage = slot.tensor.storage();
    if (seen.insert(storage.unsafeGetStorageImpl()).second) bytes += static_cast<int64_t>(storage.nbytes());
  }
  return bytes;
}

State::State() = default;
State::~State() = default;

Napi::Value State::wrap(Napi::Env env, at::Tensor tensor) {
  if (!tensor.defined()) return env.Null();
  const bool scoped = tensors.depth() > 0;
  const double handle = static_cast<double>(tensors.add(std::move(tensor)));
  if (!scoped) reportMemory(env);
  return tensorClass.New({Napi::Number::New(env, handle), Napi::Boolean::New(env, scoped)});
}

State::Lookup State::lookup(Napi::Env env, napi_value value) const {
  napi_value handle;
  double number;
  const bool has = napi_get_property(env, value, handleKey.Value(), &handle) == napi_ok &&
                   napi_get_value_double(env, handle, &number) == napi_ok;
  if (has) return {true, number, tensors.find(number)};
  // null and undefined have no properties, and a getter may throw: neither is a Tensor.
  if (env.IsExceptionPending()) env.GetAndClearPendingException();
  return {false, 0, nullptr};
}

at::Tensor State::unwrap(Napi::Env env, napi_value value) const {
  const Lookup result = lookup(env, value);
  if (!result.found) throw std::invalid_argument("expected a Tensor, got " + describe(*this, Napi::Value(env, value)));
  return *result.found;
}

void State::reportMemory(Napi::Env env) {
  const int64_t change = tensors.collectableBytes() - reportedBytes;
  if (std::abs(change) < kReportEvery) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, change);
  reportedBytes += change;
}
