#include "plan.h"

namespace jpeg {
namespace {

void require(Napi::Env env, bool valid, const char* what) {
  if (!valid) throw Napi::TypeError::New(env, what);
}

uint32_t number(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  require(object.Env(), value.IsNumber(), name);
  return value.As<Napi::Number>().Uint32Value();
}

template <typename T>
T* array(const Napi::Object& object, const char* name, napi_typedarray_type type, size_t& length) {
  const Napi::Value value = object.Get(name);
  require(object.Env(), value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type, name);
  auto found = value.As<Napi::TypedArrayOf<T>>();
  length = found.ElementLength();
  return found.Data();
}

// Inputs lie in [first, last).
Taps readTaps(const Napi::Object& owner, const char* name, uint32_t first, uint32_t last) {
  require(owner.Env(), owner.Get(name).IsObject(), name);
  const auto object = owner.Get(name).As<Napi::Object>();
  size_t starts, counts, weights;
  Taps taps;
  taps.starts = array<int32_t>(object, "starts", napi_int32_array, starts);
  taps.counts = array<int32_t>(object, "counts", napi_int32_array, counts);
  taps.weights = array<int32_t>(object, "weights", napi_int32_array, weights);
  taps.stride = number(object, "stride");
  taps.length = static_cast<uint32_t>(starts);
  taps.end = 0;
  bool valid = starts > 0 && counts == starts && weights >= starts * taps.stride;
  for (size_t o = 0; valid && o < starts; o++) {
    const int64_t end = int64_t{taps.starts[o]} + taps.counts[o];
    valid = taps.starts[o] >= int64_t{first} && taps.starts[o] >= taps.starts[0] && end <= last && taps.counts[o] >= 0 &&
            uint32_t(taps.counts[o]) <= taps.stride;
    if (end > taps.end) taps.end = static_cast<uint32_t>(end);
  }
  require(owner.Env(), valid, "weights that are not in the window");
  return taps;
}

Target readTarget(const Napi::Object& object, const Window& window) {
  Target target;
  target.columns = readTaps(object, "columns", window.left, window.right);
  target.rows = readTaps(object, "rows", window.top, window.bottom);
  size_t values, out;
  target.values = array<float>(object, "values", napi_float32_array, values);
  target.out = array<float>(object, "out", napi_float32_array, out);
  const size_t expected = size_t{target.columns.length} * target.rows.length * 3;
  require(object.Env(), values == 768 && out == expected, "values or pixels of another length");
  return target;
}

}  // namespace

Plan readPlan(const Napi::Object& object) {
  Plan plan;
  Window& window = plan.window;
  window.width = number(object, "width");
  window.height = number(object, "height");
  window.denominator = number(object, "denominator");
  window.left = number(object, "left");
  window.right = number(object, "right");
  window.top = number(object, "top");
  window.bottom = number(object, "bottom");
  const bool inside = window.left < window.right && window.right <= window.width && window.top < window.bottom &&
                      window.bottom <= window.height && window.width <= 65535 && window.height <= 65535;
  require(object.Env(), inside, "a window that is not in the picture");
  require(object.Env(), object.Get("targets").IsArray(), "targets");
  const auto targets = object.Get("targets").As<Napi::Array>();
  for (uint32_t i = 0; i < targets.Length(); i++) {
    require(object.Env(), targets.Get(i).IsObject(), "targets");
    plan.targets.push_back(readTarget(targets.Get(i).As<Napi::Object>(), window));
  }
  return plan;
}

}  // namespace jpeg
