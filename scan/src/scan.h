// Exact search, and single rows, of a file of float16 vectors.
#pragma once
#include <memory>
#include <vector>

#include "job.h"
#include "kernels.h"
#include "mask.h"
#include "top-hits.h"

namespace scan {

// Rows [N, dim] of float16 from byte `offset` of a file on.
struct Vectors {
  std::shared_ptr<MappedFile> file;
  size_t dim;
  size_t offset;
  const Kernel* kernel;

  size_t bytesOf(size_t rows) const { return offset + rows * dim * sizeof(uint16_t); }
  const uint16_t* rowsIn(const Mapping& mapping) const {
    return reinterpret_cast<const uint16_t*>(mapping.bytes() + offset);
  }
};

// Queries in rows that are filled up with zeros to a multiple of kLanes.
struct Queries {
  Queries(const float* values, size_t count, size_t dim);

  const float* row(size_t i) const { return values.data() + i * stride; }

  size_t count;
  size_t stride;
  std::vector<float> values;
};

struct ScanRequest {
  size_t count;
  size_t k;
  size_t threads;
  bool hasAfter = false;
  Hit after{};
  Mask mask;
};

// Offers rows [first, last) that may be hits to `tops`, one for each query; false where a read failed.
bool scanRows(const Vectors& vectors, const uint16_t* rows, const Queries& queries, const ScanRequest& request,
              size_t first, size_t last, TopHits* tops);

// Products of one query with single rows -> out [count]; false where a read failed.
bool scoreRows(const Vectors& vectors, const uint16_t* rows, const float* query, const uint32_t* positions,
               size_t count, float* out);

class ScanJob : public Job {
 public:
  ScanJob(Vectors vectors, Queries queries, ScanRequest request);
  void run() override;
  // A list with {positions, scores} of each query.
  Napi::Value answer(Napi::Env env) override;

 private:
  Vectors vectors_;
  Queries queries_;
  ScanRequest request_;
  std::vector<std::vector<Hit>> hits_;
};

class ScoresJob : public Job {
 public:
  ScoresJob(Vectors vectors, Queries queries, std::vector<uint32_t> positions);
  void run() override;
  Napi::Value answer(Napi::Env env) override;

 private:
  Vectors vectors_;
  Queries queries_;
  std::vector<uint32_t> positions_;
  std::vector<float> scores_;
};

class ReadJob : public Job {
 public:
  ReadJob(Vectors vectors, std::vector<uint32_t> positions);
  void run() override;
  Napi::Value answer(Napi::Env env) override;

 private:
  Vectors vectors_;
  std::vector<uint32_t> positions_;
  std::vector<float> rows_;
};

// {positions, scores}
Napi::Value hitsValue(Napi::Env env, const std::vector<Hit>& hits);
Napi::Value floatsValue(Napi::Env env, const std::vector<float>& values);

}  // namespace scan
