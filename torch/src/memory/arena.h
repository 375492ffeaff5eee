// One range of addresses from which large blocks are taken, and to which they are given back without the system hearing of
// it: memory that a training step frees is there, already mapped, for the next step. Linux only.
//
// Blocks lie side by side. A request gets the smallest free block that is large enough, the rest of which stays free, and
// neighbours that are free are joined: shapes that change a little from batch to batch need no classes of sizes, and waste
// nothing. The range is in pages of 2 MiB, which the kernel maps by one fault each; it is known which of them hold memory,
// and pages that only free blocks cover can be handed back.
//
// How much is kept is bounded: live and kept memory together stay below the largest live memory of the last two windows of
// time (`nextWindow`), by a small factor. What a phase with much larger tensors left is so handed back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

class Arena {
 public:
  // Null where the range cannot be had, or where addresses or writable memory are limited (`ulimit -v`, `-d`): pages that
  // were handed back count there still. Never freed: tensors may outlive everything else.
  static Arena* reserve();

  bool owns(const void* data) const { return data >= base_ && data < base_ + capacity_; }

  // At least so many bytes, aligned to 64; null without room or memory. Any thread may give back what another one took.
  void* take(size_t bytes);
  void give(void* data);

  // Bytes of memory in no live block.
  size_t kept() const;

  // Hands back all pages without a live block; returns their bytes.
  size_t release();

  // Begins a window, and hands back what the last two did not need. False where a further one would find nothing to do.
  bool nextWindow();

 private:
  // In front of every block's bytes.
  struct alignas(64) Block {
    size_t size;  // with this header
    Block* before;
    bool isFree;

    char* begin() { return reinterpret_cast<char*>(this); }
    char* end() { return begin() + size; }
  };
  // Also finds blocks by a size alone, so that one of just this size is found wherever it lies.
  struct SmallestFirst {
    using is_transparent = void;
    bool operator()(const Block* a, const Block* b) const { return a->size != b->size ? a->size < b->size : a < b; }
    bool operator()(const Block* block, size_t size) const { return block->size < size; }
  };

  Arena(char* base, size_t capacity);

  Block* fromFree(size_t size);
  Block* fromTop(size_t size);
  bool commit(char* end);
  void split(Block* block, size_t size);
  Block* after(Block* block) { return block->end() < top_ ? reinterpret_cast<Block*>(block->end()) : nullptr; }
  void insert(Block* block);

  size_t limit() const;
  void hold(char* begin, char* end);
  size_t shrinkTo(size_t bytes);
  void handBack(char* begin, char* end, size_t pages);

  mutable std::mutex mutex_;
  char* const base_;
  const size_t capacity_;
  char* top_;        // the end of the last block that is live
  char* committed_;  // the end of what may be written
  Block* last_ = nullptr;
  std::set<Block*, SmallestFirst> free_;
  std::vector<bool> held_;  // whether a page has memory
  size_t heldPages_ = 0;
  size_t live_ = 0;  // bytes of live blocks
  size_t peak_ = 0;  // the largest live_ of this window, and of the one before
  size_t peakBefore_ = 0;
};
