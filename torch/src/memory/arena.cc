#include "arena.h"

#ifdef __linux__

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace {

constexpr size_t kPage = 2 << 20;
// What may be written grows by so much at a time.
constexpr size_t kGrowth = 64 << 20;
// A smaller rest stays with the block that was asked for.
constexpr size_t kSmallestRest = 4 << 10;
// Live and kept memory may exceed the peak of live memory by a sixteenth, and by so much.
constexpr size_t kSlack = 8 << 20;

size_t roundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

template <typename Resource>
bool isLimited(Resource resource) {
  rlimit limit;
  return getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

}  // namespace

Arena* Arena::reserve() {
  if (isLimited(RLIMIT_AS) || isLimited(RLIMIT_DATA)) return nullptr;
  // Addresses cost nothing; several times the memory, because free blocks may lie between live ones.
  const size_t memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t capacity = roundUp(4 * memory, kPage);
  void* range = mmap(nullptr, capacity + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED) return nullptr;
  char* base = reinterpret_cast<char*>(roundUp(reinterpret_cast<size_t>(range), kPage));
  // Where the kernel has no huge pages this fails, and faults are as many as before, once.
  madvise(base, capacity, MADV_HUGEPAGE);
  return new Arena(base, capacity);
}

Arena::Arena(char* base, size_t capacity)
    : base_(base), capacity_(capacity), top_(base), committed_(base), held_(capacity / kPage) {}

void* Arena::take(size_t bytes) {
  if (bytes > capacity_ / 2) return nullptr;
  const size_t size = roundUp(bytes + sizeof(Block), alignof(Block));
  const std::lock_guard<std::mutex> lock(mutex_);
  Block* block = fromFree(size);
  if (!block) block = fromTop(size);
  if (!block) return nullptr;
  live_ += block->size;
  peak_ = std::max(peak_, live_);
  hold(block->begin(), block->end());
  if (heldPages_ * kPage > limit()) shrinkTo(limit());
  return block + 1;
}

void Arena::give(void* data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Block* block = static_cast<Block*>(data) - 1;
  live_ -= block->size;
  Block* next = after(block);
  if (next && next->isFree) {
    free_.erase(next);
    block->size += next->size;
  }
  if (block->before && block->before->isFree) {
    free_.erase(block->before);
    block->before->size += block->size;
    block = block->before;
  }
  insert(block);
}

// The block's neighbours are live.
void Arena::insert(Block* block) {
  Block* next = after(block);
  if (!next) {
    top_ = block->begin();
    last_ = block->before;
    return;
  }
  next->before = block;
  block->isFree = true;
  free_.insert(block);
}

Arena::Block* Arena::fromFree(size_t size) {
  const auto found = free_.lower_bound(size);
  if (found == free_.end()) return nullptr;
  Block* block = *found;
  free_.erase(found);
  block->isFree = false;
  if (block->size - size >= kSmallestRest) split(block, size);
  return block;
}

void Arena::split(Block* block, size_t size) {
  Block* rest = reinterpret_cast<Block*>(block->begin() + size);
  hold(rest->begin(), rest->begin() + sizeof(Block));
  *rest = Block{block->size - size, block, false};
  block->size = size;
  insert(rest);
}

Arena::Block* Arena::fromTop(size_t size) {
  if (size > static_cast<size_t>(base_ + capacity_ - top_) || !commit(top_ + size)) return nullptr;
  Block* block = reinterpret_cast<Block*>(top_);
  *block = Block{size, last_, false};
  last_ = block;
  top_ = block->end();
  return block;
}

bool Arena::commit(char* end) {
  if (end <= committed_) return true;
  const size_t size = std::min(roundUp(static_cast<size_t>(end - committed_), kGrowth),
                               static_cast<size_t>(base_ + capacity_ - committed_));
  if (mprotect(committed_, size, PROT_READ | PROT_WRITE) != 0) return false;
  committed_ += size;
  return true;
}

// The bytes are about to be written.
void Arena::hold(char* begin, char* end) {
  const size_t last = static_cast<size_t>(end - 1 - base_) / kPage;
  for (size_t page = static_cast<size_t>(begin - base_) / kPage; page <= last; ++page) {
    heldPages_ += !held_[page];
    held_[page] = true;
  }
}

size_t Arena::limit() const {
  const size_t peak = std::max(peak_, peakBefore_);
  return peak + peak / 16 + kSlack;
}

size_t Arena::kept() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::max(heldPages_ * kPage, live_) - live_;
}

size_t Arena::release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  peakBefore_ = peak_ = live_;
  return shrinkTo(0);
}

bool Arena::nextWindow() {
  const std::lock_guard<std::mutex> lock(mutex_);
  peakBefore_ = peak_;
  peak_ = live_;
  shrinkTo(limit());
  return peakBefore_ > peak_;
}

// Hands back pages until so many bytes are held, those of the largest free blocks first; returns their bytes.
size_t Arena::shrinkTo(size_t bytes) {
  const size_t before = heldPages_, wanted = bytes / kPage;
  if (before <= wanted) return 0;
  handBack(top_, committed_, before - wanted);
  for (auto block = free_.rbegin(); block != free_.rend() && heldPages_ > wanted && (*block)->size >= kPage; ++block)
    handBack((*block)->begin() + sizeof(Block), (*block)->end(), heldPages_ - wanted);
  return (before - heldPages_) * kPage;
}

// At most so many of the pages that lie between the two addresses, the last ones first.
void Arena::handBack(char* begin, char* end, size_t pages) {
  const size_t first = roundUp(static_cast<size_t>(begin - base_), kPage) / kPage;
  for (size_t page = static_cast<size_t>(end - base_) / kPage; page-- > first && pages > 0;) {
    if (!held_[page] || madvise(base_ + page * kPage, kPage, MADV_DONTNEED) != 0) continue;
    held_[page] = false;
    --heldPages_;
    --pages;
  }
}

#endif
