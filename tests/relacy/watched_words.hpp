#pragma once

// The words whose accesses relacy sees, for the length of one execution.

#include <cstddef>
#include <cstdint>
#include <span>

namespace tlsmux::test {

// A member of a test suite, in front of what is watched. Its values at the time of watching are seen by every thread.
class WatchedWords {
 public:
  WatchedWords();
  WatchedWords(const WatchedWords&) = delete;
  WatchedWords& operator=(const WatchedWords&) = delete;
  ~WatchedWords() { settle(); }

  // One thread is left: what was watched is plain memory again, with its last values.
  void settle();

  // One word of 1, 2, 4 or 8 bytes.
  template <typename Word>
  void watch(Word& word) {
    add(&word, sizeof word);
  }
  // Each 64-bit word of it.
  template <typename Object>
  void watch_words_of(Object& object) {
    for (std::size_t at = 0; at + 8 <= sizeof object; at += 8) add(reinterpret_cast<std::byte*>(&object) + at, 8);
  }

 private:
  static void add(void* address, std::size_t bytes);
};

// What several threads share, aligned as it wants to be, which the suite's own memory is not. Made anew by each suite.
template <typename Object>
Object& made_anew() {
  alignas(Object) static std::byte memory[sizeof(Object)];
  std::memset(memory, 0, sizeof memory);
  return *::new (static_cast<void*>(memory)) Object();
}

}  // namespace tlsmux::test
