#pragma once

// An object that a process and the children that it forks have in common.

#include <sys/mman.h>

#include <new>

#include <doctest/doctest.h>

namespace tlsmux::test {

template <typename Value>
class SharedObject {
 public:
  SharedObject() {
    void* const memory = ::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    value_ = new (memory) Value{};
  }
  ~SharedObject() { ::munmap(value_, sizeof(Value)); }
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  Value& operator*() const { return *value_; }
  Value* operator->() const { return value_; }

 private:
  Value* value_ = nullptr;
};

}  // namespace tlsmux::test
