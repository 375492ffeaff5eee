#include "codes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "guard.h"

namespace scan {
namespace {

// Blocks that a thread takes at a time.
constexpr size_t kChunkBlocks = 256;

struct EstimateWork {
  const Kernel* kernel;
  const uint8_t* block;
  size_t words;
  size_t count;
  const QuantizedQuery* query;
  float* out;
};

// q . v = q . mean + f (q . s), where s are the code's signs and f the row's factor: q . mean is the same for all rows.
void estimateBlock(const EstimateWork& work) {
  uint32_t bits[kCodeBlock], sums[kCodeBlock];
  const auto* factors = reinterpret_cast<const float*>(work.block);
  const auto* codes = reinterpret_cast<const uint64_t*>(factors + kCodeBlock);
  work.kernel->codeSums(codes, work.words, work.count, work.query->planes.data(), bits, sums);
  const auto [low, step, total] = std::tuple(work.query->low, work.query->step, work.query->total);
  for (size_t i = 0; i < work.count; i++) {
    const float positive = low * static_cast<float>(bits[i]) + step * static_cast<float>(sums[i]);
    work.out[i] = factors[i] * (2 * positive - total);
  }
}

}  // namespace

QuantizedQuery::QuantizedQuery(const float* query, size_t dim, size_t words)
    : low(*std::min_element(query, query + dim)),
      step(0),
      total(std::accumulate(query, query + dim, 0.0f)),
      planes(kPlanes * words) {
  constexpr float kLevels = (1 << kPlanes) - 1;
  step = (*std::max_element(query, query + dim) - low) / kLevels;
  if (!(step > 0)) return;
  for (size_t i = 0; i < dim; i++) {
    const auto level = static_cast<uint32_t>(std::min(kLevels, std::round((query[i] - low) / step)));
    for (size_t b = 0; b < kPlanes; b++)
      if (level >> b & 1) planes[b * words + i / 64] |= uint64_t{1} << (i % 64);
  }
}

CodesJob::CodesJob(Vectors vectors, Codes codes, Queries queries, ScanRequest request, size_t candidates)
    : vectors_(std::move(vectors)),
      codes_(std::move(codes)),
      queries_(std::move(queries)),
      request_(std::move(request)),
      candidates_(candidates) {}

void CodesJob::run() {
  if (request_.count == 0) return;
  codes_.count = std::min(codes_.count, request_.count);
  const auto mapping = mapped(*vectors_.file, vectors_.bytesOf(request_.count));
  if (!mapping) return;
  const auto codes = mapped(*codes_.file, codes_.offset + codes_.blocks() * codes_.blockBytes());
  if (!codes) return;
  const uint16_t* rows = vectors_.rowsIn(*mapping);
  const auto candidates = estimate(*codes);
  if (isOver()) return;
  auto tops = scoreCandidates(rows, candidates);
  const auto uncoded = scanUncoded(rows);
  if (isOver()) return;
  tops.insert(tops.end(), uncoded.begin(), uncoded.end());
  hits_ = merged(tops, request_.k);
}

// The rows with the best estimates, in the order of the file, which a disk reads faster.
std::vector<uint32_t> CodesJob::estimate(const Mapping& codes) {
  const QuantizedQuery query(queries_.row(0), vectors_.dim, codes_.words);
  const size_t chunks = (codes_.blocks() + kChunkBlocks - 1) / kChunkBlocks;
  const auto tops = inParts(chunks, request_.threads, TopHits(candidates_), [&](size_t i, TopHits& top) {
    const size_t last = std::min(codes_.blocks(), (i + 1) * kChunkBlocks);
    return estimateBlocks(codes, query, i * kChunkBlocks, last, top);
  });
  std::vector<uint32_t> positions;
  for (const Hit& hit : merged(tops, candidates_)) positions.push_back(hit.position);
  std::sort(positions.begin(), positions.end());
  return positions;
}

bool CodesJob::estimateBlocks(const Mapping& codes, const QuantizedQuery& query, size_t first, size_t last,
                              TopHits& top) const {
  float estimates[kCodeBlock];
  for (size_t b = first; b < last; b++) {
    const size_t start = b * kCodeBlock;
    const size_t count = std::min(kCodeBlock, codes_.count - start);
    const uint8_t* block = codes.bytes() + codes_.offset + b * codes_.blockBytes();
    if (!guarded(estimateBlock, EstimateWork{vectors_.kernel, block, codes_.words, count, &query, estimates})) return false;
    float least = top.least();
    for (size_t i = 0; i < count; i++) {
      if (!(estimates[i] >= least) || !request_.mask.has(start + i)) continue;
      top.offer({estimates[i], static_cast<uint32_t>(start + i)});
      least = top.least();
    }
  }
  return true;
}

std::vector<TopHits> CodesJob::scoreCandidates(const uint16_t* rows, const std::vector<uint32_t>& candidates) {
  const size_t parts = request_.threads, all = candidates.size();
  return inParts(parts, parts, TopHits(request_.k), [&](size_t part, TopHits& top) {
    const size_t first = all * part / parts, count = all * (part + 1) / parts - first;
    const uint32_t* own = candidates.data() + first;
    std::vector<float> scores(count);
    if (!scoreRows(vectors_, rows, queries_.row(0), own, count, scores.data())) return false;
    for (size_t i = 0; i < count; i++)
      if (scores[i] >= top.least()) top.offer({scores[i], own[i]});
    return true;
  });
}

std::vector<TopHits> CodesJob::scanUncoded(const uint16_t* rows) {
  if (codes_.count == request_.count) return {};
  // Rows with codes that share a word of the mask with the first one without.
  const size_t first = codes_.count / kCodeBlock * kCodeBlock;
  ScanRequest uncoded = request_;
  uncoded.mask = request_.mask.without(first, codes_.count, request_.count);
  const size_t blocks = (request_.count - first + kCodeBlock - 1) / kCodeBlock;
  const size_t chunks = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  return inParts(chunks, request_.threads, TopHits(request_.k), [&](size_t i, TopHits& top) {
    const size_t from = first + i * kChunkBlocks * kCodeBlock;
    const size_t to = std::min(request_.count, from + kChunkBlocks * kCodeBlock);
    return scanRows(vectors_, rows, queries_, uncoded, from, to, &top);
  });
}

Napi::Value CodesJob::answer(Napi::Env env) { return hitsValue(env, hits_); }

}  // namespace scan
