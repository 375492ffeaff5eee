// A file in memory, as far as it has grown: mapped again when it is longer than the mapping.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace scan {

enum class Failure { none, shortFile, readFault, cannotMap, noMemory, tooManyPairs, cancelled };

// The name by which JavaScript knows it.
const char* nameOf(Failure failure);

class Mapping {
 public:
  Mapping(const uint8_t* bytes, size_t length) : bytes_(bytes), length_(length) {}
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const uint8_t* bytes() const { return bytes_; }
  size_t length() const { return length_; }

 private:
  const uint8_t* bytes_;
  size_t length_;
};

class MappedFile {
 public:
  // Takes a copy of the descriptor.
  explicit MappedFile(int descriptor);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // A mapping of the first `length` bytes at least, which the file had a moment ago; it lasts as long as it is held.
  std::shared_ptr<const Mapping> map(size_t length, Failure& failure);

 private:
  int descriptor_;
  std::mutex mutex_;
  std::shared_ptr<const Mapping> current_;
};

}  // namespace scan
