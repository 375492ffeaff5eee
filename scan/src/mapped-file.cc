#include "mapped-file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace scan {
namespace {

// Room for a file to grow without being mapped, and its pages found, again. Pages beyond its end cost nothing, and become
// the file's as it grows; where that is not certain, there is none.
size_t withRoom(size_t length) {
#if defined(__linux__)
  return length + (length > (size_t{64} << 20) ? length : (size_t{64} << 20));
#else
  return length;
#endif
}

void* mapBytes(int descriptor, size_t length) { return mmap(nullptr, length, PROT_READ, MAP_SHARED, descriptor, 0); }

std::shared_ptr<const Mapping> newMapping(int descriptor, size_t length) {
  size_t mapped = withRoom(length);
  void* bytes = mapBytes(descriptor, mapped);
  if (bytes == MAP_FAILED) bytes = mapBytes(descriptor, mapped = length);
  if (bytes == MAP_FAILED) return nullptr;
  return std::make_shared<const Mapping>(static_cast<const uint8_t*>(bytes), mapped);
}

}  // namespace

const char* nameOf(Failure failure) {
  switch (failure) {
    case Failure::none: return "none";
    case Failure::shortFile: return "shortFile";
    case Failure::readFault: return "readFault";
    case Failure::cannotMap: return "cannotMap";
    case Failure::noMemory: return "noMemory";
    case Failure::tooManyPairs: return "tooManyPairs";
    case Failure::cancelled: return "cancelled";
  }
  return "none";
}

Mapping::~Mapping() { munmap(const_cast<uint8_t*>(bytes_), length_); }

MappedFile::MappedFile(int descriptor) : descriptor_(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {}

MappedFile::~MappedFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::shared_ptr<const Mapping> MappedFile::map(size_t length, Failure& failure) {
  struct stat found {};
  if (fstat(descriptor_, &found) != 0) return failure = Failure::readFault, nullptr;
  const auto size = static_cast<size_t>(found.st_size);
  if (size < length) return failure = Failure::shortFile, nullptr;
  std::lock_guard<std::mutex> lock(mutex_);
  if (!current_ || current_->length() < length) {
    auto mapping = newMapping(descriptor_, size);
    if (!mapping) return failure = Failure::cannotMap, nullptr;
    current_ = mapping;
  }
  return current_;
}

}  // namespace scan
