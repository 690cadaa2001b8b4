#pragma once

// Stands in front of every source of these tests (the compiler's -include): from here on std::atomic, std::atomic_ref and
// the fences are relacy's, so that the project's own headers and sources are checked as they are, not a copy of them.
//
// A CheckedAtomic is as large as what it holds, and so the static asserts on layouts hold. Its accesses are relacy's only
// where the address is watched (see watched_words.hpp), which is within an exploration; elsewhere they are plain.
//
// Each access says where it stands, so that a test can weaken one of them (mutation.hpp) without touching the code.

// Whatever names std::atomic in the standard library must be read before the names change.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <relacy/relacy.hpp>
// Relacy renames these for code that is written for it.
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef $
#undef VAR
#undef VAR_T

namespace tlsmux::test {

// As relacy keeps a watched word.
using Shadow = rl::atomic<std::uint64_t>;
inline constexpr auto* kRelacyFence = &rl::atomic_thread_fence;

struct Access {
  const void* address = nullptr;
  std::memory_order order{};
  const std::source_location& where;
};

// Null: the address is not watched.
Shadow* shadow_of(const void* address);

std::uint64_t load_shadow(Shadow& shadow, const Access& access);
void store_shadow(Shadow& shadow, std::uint64_t value, const Access& access);
std::uint64_t exchange_shadow(Shadow& shadow, std::uint64_t value, const Access& access);
std::uint64_t or_shadow(Shadow& shadow, std::uint64_t bits, const Access& access);
bool compare_exchange_shadow(Shadow& shadow, std::uint64_t& expected, std::uint64_t value, std::memory_order failure,
                             const Access& access);
void fence(std::memory_order order, const std::source_location& where);

template <typename Value>
  requires std::is_trivially_copyable_v<Value> && (sizeof(Value) <= 8)
std::uint64_t to_bits(Value value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename Value>
Value from_bits(std::uint64_t bits) {
  Value value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// What std::atomic and std::atomic_ref have in common.
template <typename Derived, typename Value>
class AtomicCalls {
  using Order = std::memory_order;
  using Where = std::source_location;
  static constexpr Order kStrongest = Order::seq_cst;

 public:
  Value load(Order order = kStrongest, Where where = Where::current()) const {
    auto* const shadow = shadow_of(address());
    return shadow == nullptr ? *address() : from_bits<Value>(load_shadow(*shadow, {address(), order, where}));
  }

  void store(Value value, Order order = kStrongest, Where where = Where::current()) const {
    auto* const shadow = shadow_of(address());
    if (shadow == nullptr) {
      *address() = value;
    } else {
      store_shadow(*shadow, to_bits(value), {address(), order, where});
    }
  }

  Value exchange(Value value, Order order = kStrongest, Where where = Where::current()) const {
    auto* const shadow = shadow_of(address());
    if (shadow == nullptr) return std::exchange(*address(), value);
    return from_bits<Value>(exchange_shadow(*shadow, to_bits(value), {address(), order, where}));
  }

  Value fetch_or(Value value, Order order = kStrongest, Where where = Where::current()) const {
    auto* const shadow = shadow_of(address());
    if (shadow == nullptr) return std::exchange(*address(), *address() | value);
    return from_bits<Value>(or_shadow(*shadow, to_bits(value), {address(), order, where}));
  }

  bool compare_exchange_strong(Value& expected, Value value, Order success, Order failure,
                               Where where = Where::current()) const {
    auto* const shadow = shadow_of(address());
    if (shadow == nullptr) return compare_exchange_plain(expected, value);
    auto bits = to_bits(expected);
    const bool won = compare_exchange_shadow(*shadow, bits, to_bits(value), failure, {address(), success, where});
    expected = from_bits<Value>(bits);
    return won;
  }
  bool compare_exchange_strong(Value& expected, Value value, Order order = kStrongest,
                               Where where = Where::current()) const {
    return compare_exchange_strong(expected, value, order, failure_of(order), where);
  }

 private:
  Value* address() const { return static_cast<const Derived*>(this)->address(); }

  bool compare_exchange_plain(Value& expected, Value value) const {
    const bool won = *address() == expected;
    if (won) {
      *address() = value;
    } else {
      expected = *address();
    }
    return won;
  }

  // As the standard says.
  static constexpr Order failure_of(Order order) {
    if (order == Order::acq_rel) return Order::acquire;
    return order == Order::release ? Order::relaxed : order;
  }
};

template <typename Value>
class CheckedAtomic : public AtomicCalls<CheckedAtomic<Value>, Value> {
 public:
  static constexpr bool is_always_lock_free = true;

  constexpr CheckedAtomic() = default;
  constexpr CheckedAtomic(Value value) : value_(value) {}
  CheckedAtomic(const CheckedAtomic&) = delete;
  CheckedAtomic& operator=(const CheckedAtomic&) = delete;

  Value* address() const { return const_cast<Value*>(&value_); }

 private:
  Value value_{};
};
static_assert(sizeof(CheckedAtomic<std::uint32_t>) == 4 && sizeof(CheckedAtomic<std::uint64_t>) == 8);

template <typename Value>
class CheckedAtomicRef : public AtomicCalls<CheckedAtomicRef<Value>, Value> {
 public:
  explicit CheckedAtomicRef(Value& value) : address_(&value) {}
  Value* address() const { return address_; }

 private:
  Value* address_;
};

inline void checked_thread_fence(std::memory_order order,
                                 std::source_location where = std::source_location::current()) {
  fence(order, where);
}

}  // namespace tlsmux::test

namespace std {
using tlsmux::test::checked_thread_fence;
using tlsmux::test::CheckedAtomic;
using tlsmux::test::CheckedAtomicRef;
}  // namespace std

#define atomic CheckedAtomic
#define atomic_ref CheckedAtomicRef
#define atomic_thread_fence checked_thread_fence
