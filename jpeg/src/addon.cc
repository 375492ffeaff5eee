// The functions that jpeg/index.ts describes.
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include <napi.h>

#include "decode.h"
#include "plan.h"
#include "resize.h"

namespace {

// {width, height, data}, where data is null if the picture was too large; null if it was not decoded.
Napi::Value result(Napi::Env env, bool decoded, jpeg::Picture& picture) {
  if (!decoded) return env.Null();
  auto object = Napi::Object::New(env);
  object["width"] = Napi::Number::New(env, picture.width);
  object["height"] = Napi::Number::New(env, picture.height);
  object["data"] = env.Null();
  if (picture.pixels) {
    const size_t length = size_t{picture.width} * picture.height * 3;
    auto* pixels = std::exchange(picture.pixels, nullptr);
    auto buffer = Napi::ArrayBuffer::New(env, pixels, length, [](Napi::Env, void* data) { std::free(data); });
    object["data"] = Napi::Uint8Array::New(env, length, buffer, 0);
  }
  return object;
}

bool isBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

// A decode to be done here or in another thread: `run` touches nothing of JavaScript.
struct Decode {
  Decode(const Napi::CallbackInfo& info) {
    if (info.Length() != 2 || !isBytes(info[0]) || !info[1].IsNumber())
      throw Napi::TypeError::New(info.Env(), "a Uint8Array and a number were expected");
    maxPixels = info[1].As<Napi::Number>().DoubleValue();
  }
  ~Decode() { std::free(picture.pixels); }

  void run(const uint8_t* bytes, size_t length) { decoded = jpeg::decode(bytes, length, maxPixels, picture); }
  Napi::Value answer(Napi::Env env) { return result(env, decoded, picture); }

  double maxPixels;
  jpeg::Picture picture;
  bool decoded = false;
};

struct Prepare {
  Prepare(const Napi::CallbackInfo& info) {
    if (info.Length() != 2 || !isBytes(info[0]) || !info[1].IsObject())
      throw Napi::TypeError::New(info.Env(), "a Uint8Array and a plan were expected");
    plan = jpeg::readPlan(info[1].As<Napi::Object>());
    kept = Napi::Persistent(info[1].As<Napi::Object>());
  }

  void run(const uint8_t* bytes, size_t length) {
    try {
      jpeg::Resizer resizer(plan.window, plan.targets);
      prepared = jpeg::decodeWindow(bytes, length, plan.window, resizer);
      if (prepared) resizer.finish();
    } catch (const std::bad_alloc&) {
      prepared = false;
    }
  }
  Napi::Value answer(Napi::Env env) { return Napi::Boolean::New(env, prepared); }

  jpeg::Plan plan;
  Napi::ObjectReference kept;
  bool prepared = false;
};

template <typename Work>
Napi::Value now(const Napi::CallbackInfo& info) {
  Work work(info);
  const auto bytes = info[0].As<Napi::Uint8Array>();
  work.run(bytes.Data(), bytes.ByteLength());
  return work.answer(info.Env());
}

template <typename Work>
class Later : public Napi::AsyncWorker {
 public:
  explicit Later(const Napi::CallbackInfo& info)
      : AsyncWorker(info.Env()), deferred(Napi::Promise::Deferred::New(info.Env())), work(info) {
    const auto given = info[0].As<Napi::Uint8Array>();
    bytes.assign(given.Data(), given.Data() + given.ByteLength());
  }

  Napi::Promise promise() const { return deferred.Promise(); }

 protected:
  void Execute() override { work.run(bytes.data(), bytes.size()); }
  void OnOK() override { deferred.Resolve(work.answer(Env())); }
  void OnError(const Napi::Error& error) override { deferred.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred;
  Work work;
  // A copy, because the caller's memory can be handed to another thread, or shrink, while it would be read.
  std::vector<uint8_t> bytes;
};

template <typename Work>
Napi::Value later(const Napi::CallbackInfo& info) {
  auto* worker = new Later<Work>(info);
  const auto promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports["decode"] = Napi::Function::New(env, now<Decode>, "decode");
  exports["decodeAsync"] = Napi::Function::New(env, later<Decode>, "decodeAsync");
  exports["prepare"] = Napi::Function::New(env, now<Prepare>, "prepare");
  exports["prepareAsync"] = Napi::Function::New(env, later<Prepare>, "prepareAsync");
  return exports;
}

}  // namespace

NODE_API_MODULE(jpeg, initialize)
