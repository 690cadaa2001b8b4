#pragma once

// Rows of the group's tables: one writer, any number of readers that never block it (a sequence lock).
//
// The writer makes `sequence` odd, writes, and makes it even again. A reader copies the row and keeps the copy only
// when the sequence was even and the same before and after. Memory order: the release fence after the odd store keeps
// the row's writes behind it, the final release store keeps them before it; the reader's acquire load and acquire
// fence mirror that (H. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012).

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tlsmux::shm {

namespace detail {

inline constexpr std::size_t kRowDataOffset = 8;  // behind `sequence` and the 32-bit field that shares its word

template <typename Row>
void copy_row_words(std::uint64_t* to, const std::uint64_t* from) {
  for (std::size_t i = kRowDataOffset / 8; i < sizeof(Row) / 8; ++i) {
    const auto word = std::atomic_ref(const_cast<std::uint64_t&>(from[i])).load(std::memory_order_relaxed);
    std::atomic_ref(to[i]).store(word, std::memory_order_relaxed);
  }
}

// The 32-bit field right behind `sequence`.
template <typename Row>
std::uint32_t* second_field(Row* row) {
  return reinterpret_cast<std::uint32_t*>(row) + 1;
}

template <typename Row>
void copy_row(Row* to, const Row* from) {
  auto* source = const_cast<Row*>(from);
  std::atomic_ref(*second_field(to))
      .store(std::atomic_ref(*second_field(source)).load(std::memory_order_relaxed), std::memory_order_relaxed);
  copy_row_words<Row>(reinterpret_cast<std::uint64_t*>(to), reinterpret_cast<const std::uint64_t*>(source));
}

}  // namespace detail

// The only writer calls this, with a private copy of the whole row; the copy's `sequence` is ignored.
template <typename Row>
void write_row(Row& shared, const Row& value) {
  const auto sequence = shared.sequence.load(std::memory_order_relaxed);
  shared.sequence.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  detail::copy_row(&shared, &value);
  shared.sequence.store(sequence + 2, std::memory_order_release);
}

// Any thread of any process. False when the writer kept interfering (or died while writing): `value` is then torn.
template <typename Row>
bool read_row(const Row& shared, Row& value) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto before = shared.sequence.load(std::memory_order_acquire);
    detail::copy_row(&value, &shared);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && shared.sequence.load(std::memory_order_relaxed) == before) return true;
  }
  return false;
}

}  // namespace tlsmux::shm
