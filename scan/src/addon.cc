// The class that scan/index.ts describes. What is asked is checked here too: a wrong number would read beyond a file.
#include <cmath>
#include <memory>

#include <napi.h>

#include "codes.h"
#include "guard.h"
#include "pairs.h"
#include "scan.h"

namespace scan {
namespace {

constexpr double kMostRows = 4294967295.0;
constexpr double kMostDim = 65536;
constexpr double kMostThreads = 1024;

void require(Napi::Env env, bool valid, const char* what) {
  if (!valid) throw Napi::TypeError::New(env, what);
}

// A whole number of [least, most].
size_t wholeOf(const Napi::Value& value, const char* what, double least, double most) {
  require(value.Env(), value.IsNumber(), what);
  const double number = value.As<Napi::Number>().DoubleValue();
  require(value.Env(), number >= least && number <= most && number == std::floor(number), what);
  return static_cast<size_t>(number);
}

float floatOf(const Napi::Value& value, const char* what) {
  require(value.Env(), value.IsNumber(), what);
  return value.As<Napi::Number>().FloatValue();
}

template <typename T>
std::vector<T> arrayOf(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  require(value.Env(), value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type, what);
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

Napi::Object objectOf(const Napi::Value& value, const char* what) {
  require(value.Env(), value.IsObject(), what);
  return value.As<Napi::Object>();
}

Mask maskOf(const Napi::Object& request, size_t count) {
  const Napi::Value value = request.Get("mask");
  if (value.IsUndefined()) return {};
  auto bits = arrayOf<uint8_t>(value, napi_uint8_array, "mask");
  require(request.Env(), bits.size() >= (count + 7) / 8, "a mask with a bit for each row");
  return Mask(std::move(bits));
}

PairsRequest pairsRequestOf(const Napi::Object& object) {
  PairsRequest request;
  request.count = wholeOf(object.Get("count"), "count", 0, kMostRows);
  request.threshold = floatOf(object.Get("threshold"), "threshold");
  require(object.Env(), !std::isnan(request.threshold), "threshold");
  request.threads = wholeOf(object.Get("threads"), "threads", 1, kMostThreads);
  request.mask = maskOf(object, request.count);
  return request;
}

Napi::Reference<Napi::Int32Array> stateOf(const Napi::Value& value) {
  const bool isState = value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array &&
                       value.As<Napi::TypedArray>().ElementLength() == 2;
  require(value.Env(), isState, "a state of two numbers");
  return Napi::Persistent(value.As<Napi::Int32Array>());
}

class VectorFile : public Napi::ObjectWrap<VectorFile> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "VectorFile",
                       {InstanceMethod<&VectorFile::scan>("scan"), InstanceMethod<&VectorFile::scores>("scores"),
                        InstanceMethod<&VectorFile::read>("read"), InstanceMethod<&VectorFile::nearPairs>("nearPairs"),
                        InstanceMethod<&VectorFile::openCodes>("openCodes"),
                        InstanceMethod<&VectorFile::scanCodes>("scanCodes"), InstanceMethod<&VectorFile::close>("close")});
  }

  // (descriptor, dim, offset, kernel)
  explicit VectorFile(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const auto descriptor = wholeOf(info[0], "a descriptor", 0, 2147483647);
    vectors_.dim = wholeOf(info[1], "dim", 1, kMostDim);
    vectors_.offset = wholeOf(info[2], "offset", 0, 9007199254740991.0);
    require(info.Env(), vectors_.offset % 2 == 0, "an even offset");
    require(info.Env(), info[3].IsString(), "the name of a kernel");
    vectors_.kernel = kernelOf(info[3].As<Napi::String>().Utf8Value().c_str());
    require(info.Env(), vectors_.kernel != nullptr, "a kernel of this processor");
    vectors_.file = std::make_shared<MappedFile>(static_cast<int>(descriptor));
  }

 private:
  void requireOpen(Napi::Env env) const {
    if (!vectors_.file) throw Napi::Error::New(env, "the file of vectors is closed");
  }

  ScanRequest requestOf(const Napi::Object& object) const {
    ScanRequest request;
    request.count = wholeOf(object.Get("count"), "count", 0, kMostRows);
    request.k = wholeOf(object.Get("k"), "k", 0, kMostRows);
    request.threads = wholeOf(object.Get("threads"), "threads", 1, kMostThreads);
    request.mask = maskOf(object, request.count);
    const Napi::Value after = object.Get("after");
    request.hasAfter = !after.IsUndefined();
    if (request.hasAfter) {
      const auto last = objectOf(after, "after");
      request.after.score = floatOf(last.Get("score"), "after.score");
      request.after.position = static_cast<uint32_t>(wholeOf(last.Get("position"), "after.position", 0, kMostRows));
    }
    return request;
  }

  Queries queriesOf(const Napi::Value& value, size_t most) const {
    const auto values = arrayOf<float>(value, napi_float32_array, "queries");
    const size_t count = values.size() / vectors_.dim;
    require(value.Env(), count >= 1 && count <= most && count * vectors_.dim == values.size(), "queries of another length");
    return Queries(values.data(), count, vectors_.dim);
  }

  // (queries [n, dim], {count, k, threads, after, mask})
  Napi::Value scan(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    auto queries = queriesOf(info[0], 1024);
    return launch(info.Env(), std::make_shared<ScanJob>(vectors_, std::move(queries), requestOf(objectOf(info[1], "a request"))));
  }

  // (query, positions)
  Napi::Value scores(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    auto queries = queriesOf(info[0], 1);
    auto positions = arrayOf<uint32_t>(info[1], napi_uint32_array, "positions");
    return launch(info.Env(), std::make_shared<ScoresJob>(vectors_, std::move(queries), std::move(positions)));
  }

  // (positions)
  Napi::Value read(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    return launch(info.Env(),
                  std::make_shared<ReadJob>(vectors_, arrayOf<uint32_t>(info[0], napi_uint32_array, "positions")));
  }

  // ({count, threshold, threads, mask}, state)
  Napi::Value nearPairs(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    auto request = pairsRequestOf(objectOf(info[0], "a request"));
    return launch(info.Env(), std::make_shared<PairsJob>(vectors_, std::move(request), stateOf(info[1])));
  }

  // (descriptor, offset): in place of those before.
  void openCodes(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    const auto descriptor = wholeOf(info[0], "a descriptor", 0, 2147483647);
    codes_.offset = wholeOf(info[1], "offset", 0, 9007199254740991.0);
    require(info.Env(), codes_.offset % 8 == 0, "an offset of whole words");
    codes_.words = (vectors_.dim + 63) / 64;
    codes_.file = std::make_shared<MappedFile>(static_cast<int>(descriptor));
  }

  // (query, {count, k, threads, mask}, {count, candidates})
  Napi::Value scanCodes(const Napi::CallbackInfo& info) {
    requireOpen(info.Env());
    require(info.Env(), codes_.file != nullptr, "codes that are open");
    auto queries = queriesOf(info[0], 1);
    auto request = requestOf(objectOf(info[1], "a request"));
    require(info.Env(), !request.hasAfter, "no place to go on from");
    const auto object = objectOf(info[2], "codes");
    Codes codes = codes_;
    codes.count = wholeOf(object.Get("count"), "codes.count", 0, kMostRows);
    const auto candidates = wholeOf(object.Get("candidates"), "candidates", 1, kMostRows);
    return launch(info.Env(),
                  std::make_shared<CodesJob>(vectors_, std::move(codes), std::move(queries), std::move(request), candidates));
  }

  // What is under way ends as it would have.
  void close(const Napi::CallbackInfo&) {
    vectors_.file.reset();
    codes_.file.reset();
  }

  Vectors vectors_;
  Codes codes_{};
};

Napi::Value kernels(const Napi::CallbackInfo& info) {
  auto list = Napi::Array::New(info.Env());
  const char* const* names = kernelNames();
  for (uint32_t i = 0; names[i]; i++) list[i] = Napi::String::New(info.Env(), names[i]);
  return list;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  installGuard();
  exports["VectorFile"] = VectorFile::define(env);
  exports["kernels"] = Napi::Function::New(env, kernels, "kernels");
  return exports;
}

}  // namespace
}  // namespace scan

static Napi::Object initialize(Napi::Env env, Napi::Object exports) { return scan::initialize(env, exports); }
NODE_API_MODULE(scan, initialize)
