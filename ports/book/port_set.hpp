#pragma once

// A set of port numbers of one protocol.

#include <bitset>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::ports {

// Both ends included.
struct PortRange {
  std::uint16_t from = 0;
  std::uint16_t to = 0;

  friend constexpr auto operator<=>(const PortRange&, const PortRange&) = default;
};

class PortSet {
 public:
  void add(std::uint16_t port) { bits_.set(port); }
  void add(PortRange range);
  void remove(std::uint16_t port) { bits_.reset(port); }
  [[nodiscard]] bool contains(std::uint16_t port) const { return bits_.test(port); }
  [[nodiscard]] std::size_t count() const { return bits_.count(); }
  [[nodiscard]] bool empty() const { return bits_.none(); }

  PortSet& operator|=(const PortSet& other);
  PortSet& operator&=(const PortSet& other);
  PortSet& operator-=(const PortSet& other);
  friend bool operator==(const PortSet&, const PortSet&) = default;

  // The fewest ranges that make it up, ascending.
  [[nodiscard]] std::vector<PortRange> ranges() const;

  // "1000-3000,5000", as in net.ipv4.ip_local_reserved_ports; an empty text is the empty set. An error in words.
  [[nodiscard]] std::string text() const;
  static std::expected<PortSet, std::string> parse(std::string_view text);

 private:
  std::bitset<65536> bits_;
};

}  // namespace tlsmux::ports
