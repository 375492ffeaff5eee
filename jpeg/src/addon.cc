// The functions that jpeg/index.ts describes.
#include <cstdlib>
#include <utility>

#include <napi.h>

#include "decode.h"

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

struct Arguments {
  Napi::Uint8Array bytes;
  double maxPixels;
};

Arguments parse(const Napi::CallbackInfo& info) {
  const bool valid = info.Length() == 2 && info[0].IsTypedArray() && info[1].IsNumber() &&
                     info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!valid) throw Napi::TypeError::New(info.Env(), "a Uint8Array and a number were expected");
  return {info[0].As<Napi::Uint8Array>(), info[1].As<Napi::Number>().DoubleValue()};
}

Napi::Value decode(const Napi::CallbackInfo& info) {
  const auto [bytes, maxPixels] = parse(info);
  jpeg::Picture picture;
  const bool decoded = jpeg::decode(bytes.Data(), bytes.ByteLength(), maxPixels, picture);
  return result(info.Env(), decoded, picture);
}

class Worker : public Napi::AsyncWorker {
 public:
  Worker(Napi::Env env, const Arguments& arguments)
      : AsyncWorker(env),
        deferred(Napi::Promise::Deferred::New(env)),
        kept(Napi::Persistent(arguments.bytes)),
        data(arguments.bytes.Data()),
        length(arguments.bytes.ByteLength()),
        maxPixels(arguments.maxPixels) {}
  ~Worker() override { std::free(picture.pixels); }

  Napi::Promise promise() const { return deferred.Promise(); }

 protected:
  void Execute() override { decoded = jpeg::decode(data, length, maxPixels, picture); }
  void OnOK() override { deferred.Resolve(result(Env(), decoded, picture)); }
  void OnError(const Napi::Error& error) override { deferred.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Uint8Array> kept;
  const uint8_t* data;
  size_t length;
  double maxPixels;
  jpeg::Picture picture;
  bool decoded = false;
};

Napi::Value decodeAsync(const Napi::CallbackInfo& info) {
  auto* worker = new Worker(info.Env(), parse(info));
  const auto promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports["decode"] = Napi::Function::New(env, decode, "decode");
  exports["decodeAsync"] = Napi::Function::New(env, decodeAsync, "decodeAsync");
  return exports;
}

}  // namespace

NODE_API_MODULE(jpeg, initialize)
