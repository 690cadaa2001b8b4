#pragma once

// No exception leaves the library. What can be thrown at all is a lack of memory, off the data path.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <new>
#include <string_view>

#include "client/no_cancellation.hpp"

namespace tlsmux::client {

template <typename Function>
int without_exceptions(Function function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

// What may wait, and so may be cancelled there.
template <typename Function>
int undisturbed(Function function) noexcept {
  const NoCancellation whole;
  return without_exceptions(function);
}

// Takes in a struct of options that begins with `struct_bytes`. What the caller was compiled with may be longer than
// ours: what we do not know must be zero. False: it makes no sense.
template <typename Options>
bool read_options(const Options* given, Options& options) {
  options = {};
  if (given == nullptr) return true;
  if (given->struct_bytes < sizeof options) return false;
  options = *given;
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  return std::all_of(bytes + sizeof options, bytes + given->struct_bytes, [](unsigned char byte) { return byte == 0; });
}

// As much of `text` as fits, with a terminating zero; returns the whole length.
inline int copy_text(std::string_view text, char* buffer, std::size_t buffer_bytes) {
  if (buffer != nullptr && buffer_bytes > 0) buffer[text.copy(buffer, buffer_bytes - 1)] = '\0';
  return static_cast<int>(text.size());
}

}  // namespace tlsmux::client
