#include "scan.h"

#include <algorithm>
#include <cstring>

#include "guard.h"

namespace scan {
namespace {

// Rows whose products are made before they are compared: their bits in a mask are one word.
constexpr size_t kBlock = 64;
// Bytes that a thread takes at a time: much, so that memory is read in order, and little beside a whole file.
constexpr size_t kChunkBytes = size_t{1} << 20;

// A guarded read: plain values alone.
struct BlockWork {
  const Kernel* kernel;
  const float* query;
  size_t queries;
  size_t stride;
  const uint16_t* rows;
  size_t dim;
  size_t count;
  // Rows that are looked at, where those are few; otherwise all are.
  uint64_t only;
  float* out;
};

void multiplyBlock(const BlockWork& work) {
  if (!work.only) {
    work.kernel->dots(work.query, work.queries, work.stride, work.rows, work.dim, work.count, work.out, kBlock);
    return;
  }
  for (uint64_t left = work.only; left; left &= left - 1) {
    const auto r = static_cast<size_t>(__builtin_ctzll(left));
    work.kernel->dots(work.query, work.queries, work.stride, work.rows + r * work.dim, work.dim, 1, work.out + r, kBlock);
  }
}

void offerBlock(const float* scores, uint64_t bits, size_t first, const ScanRequest& request, TopHits& top) {
  float least = top.least();
  for (; bits; bits &= bits - 1) {
    const auto r = static_cast<size_t>(__builtin_ctzll(bits));
    if (!(scores[r] >= least)) continue;
    const Hit hit{scores[r], static_cast<uint32_t>(first + r)};
    if (request.hasAfter && !isBetter(request.after, hit)) continue;
    top.offer(hit);
    least = top.least();
  }
}

struct ScoreWork {
  const Kernel* kernel;
  const float* query;
  const uint16_t* rows;
  size_t dim;
  const uint32_t* positions;
  size_t count;
  float* out;
};

void multiplyRows(const ScoreWork& work) {
  for (size_t i = 0; i < work.count; i++)
    work.kernel->dots(work.query, 1, 0, work.rows + size_t{work.positions[i]} * work.dim, work.dim, 1, work.out + i, 1);
}

void widenRows(const ScoreWork& work) {
  for (size_t i = 0; i < work.count; i++)
    work.kernel->widen(work.rows + size_t{work.positions[i]} * work.dim, work.dim, work.out + i * work.dim);
}

size_t rowsUpTo(const std::vector<uint32_t>& positions) {
  size_t rows = 0;
  for (uint32_t position : positions) rows = std::max(rows, size_t{position} + 1);
  return rows;
}

}  // namespace

Queries::Queries(const float* given, size_t count, size_t dim)
    : count(count), stride((dim + kLanes - 1) / kLanes * kLanes), values(count * stride) {
  for (size_t i = 0; i < count; i++) std::memcpy(values.data() + i * stride, given + i * dim, dim * sizeof(float));
}

bool scanRows(const Vectors& vectors, const uint16_t* rows, const Queries& queries, const ScanRequest& request,
              size_t first, size_t last, TopHits* tops) {
  float scores[kMostQueries * kBlock];
  for (size_t start = first; start < last; start += kBlock) {
    const size_t count = std::min(kBlock, last - start);
    const uint64_t bits = request.mask.word(start, count);
    if (!bits) continue;
    const bool isSparse = !request.mask.isAll() && 2 * static_cast<size_t>(__builtin_popcountll(bits)) < count;
    for (size_t q = 0; q < queries.count; q += kMostQueries) {
      const size_t some = std::min(kMostQueries, queries.count - q);
      const BlockWork work{vectors.kernel,   queries.row(q), some,  queries.stride,
                           rows + start * vectors.dim, vectors.dim,    count, isSparse ? bits : 0, scores};
      if (!guarded(multiplyBlock, work)) return false;
      for (size_t i = 0; i < some; i++) offerBlock(scores + i * kBlock, bits, start, request, tops[q + i]);
    }
  }
  return true;
}

bool scoreRows(const Vectors& vectors, const uint16_t* rows, const float* query, const uint32_t* positions,
               size_t count, float* out) {
  return guarded(multiplyRows, ScoreWork{vectors.kernel, query, rows, vectors.dim, positions, count, out});
}

ScanJob::ScanJob(Vectors vectors, Queries queries, ScanRequest request)
    : vectors_(std::move(vectors)), queries_(std::move(queries)), request_(std::move(request)) {}

void ScanJob::run() {
  hits_.resize(queries_.count);
  if (request_.count == 0) return;
  const auto mapping = mapped(*vectors_.file, vectors_.bytesOf(request_.count));
  if (!mapping) return;
  const uint16_t* rows = vectors_.rowsIn(*mapping);
  const size_t chunk = std::max(kBlock, kChunkBytes / (vectors_.dim * sizeof(uint16_t)) / kBlock * kBlock);
  const size_t chunks = (request_.count + chunk - 1) / chunk;
  using Part = std::vector<TopHits>;
  const Part none(queries_.count, TopHits(request_.k));
  const auto parts = inParts(chunks, request_.threads, none, [&](size_t i, Part& part) {
    const size_t last = std::min(request_.count, (i + 1) * chunk);
    return scanRows(vectors_, rows, queries_, request_, i * chunk, last, part.data());
  });
  if (isOver()) return;
  for (size_t q = 0; q < queries_.count; q++) {
    std::vector<TopHits> tops;
    for (const Part& part : parts) tops.push_back(part[q]);
    hits_[q] = merged(tops, request_.k);
  }
}

Napi::Value ScanJob::answer(Napi::Env env) {
  auto list = Napi::Array::New(env, hits_.size());
  for (uint32_t q = 0; q < hits_.size(); q++) list[q] = hitsValue(env, hits_[q]);
  return list;
}

ScoresJob::ScoresJob(Vectors vectors, Queries queries, std::vector<uint32_t> positions)
    : vectors_(std::move(vectors)), queries_(std::move(queries)), positions_(std::move(positions)) {}

void ScoresJob::run() {
  scores_.resize(positions_.size());
  if (positions_.empty()) return;
  const auto mapping = mapped(*vectors_.file, vectors_.bytesOf(rowsUpTo(positions_)));
  if (!mapping) return;
  const bool isRead = scoreRows(vectors_, vectors_.rowsIn(*mapping), queries_.row(0), positions_.data(),
                                positions_.size(), scores_.data());
  if (!isRead) fail(Failure::readFault);
}

Napi::Value ScoresJob::answer(Napi::Env env) { return floatsValue(env, scores_); }

ReadJob::ReadJob(Vectors vectors, std::vector<uint32_t> positions)
    : vectors_(std::move(vectors)), positions_(std::move(positions)) {}

void ReadJob::run() {
  rows_.resize(positions_.size() * vectors_.dim);
  if (positions_.empty()) return;
  const auto mapping = mapped(*vectors_.file, vectors_.bytesOf(rowsUpTo(positions_)));
  if (!mapping) return;
  const ScoreWork work{vectors_.kernel,   nullptr,           vectors_.rowsIn(*mapping), vectors_.dim,
                       positions_.data(), positions_.size(), rows_.data()};
  if (!guarded(widenRows, work)) fail(Failure::readFault);
}

Napi::Value ReadJob::answer(Napi::Env env) { return floatsValue(env, rows_); }

Napi::Value floatsValue(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value hitsValue(Napi::Env env, const std::vector<Hit>& hits) {
  auto positions = Napi::Uint32Array::New(env, hits.size());
  auto scores = Napi::Float32Array::New(env, hits.size());
  for (size_t i = 0; i < hits.size(); i++) {
    positions[i] = hits[i].position;
    scores[i] = hits[i].score;
  }
  auto object = Napi::Object::New(env);
  object["positions"] = positions;
  object["scores"] = scores;
  return object;
}

}  // namespace scan
