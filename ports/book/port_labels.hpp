#pragma once

// Which dynamic port each label had last. A port has one label at the most. Of more than so many the one that was used
// the longest ago is forgotten.

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ports/protocol.hpp"

namespace tlsmux::ports {

class PortLabels {
 public:
  explicit PortLabels(std::size_t labels_max) : labels_max_(labels_max) {}

  [[nodiscard]] std::optional<Port> find(Protocol protocol, std::string_view label) const;
  [[nodiscard]] bool is_remembered(Port port) const { return by_port_.contains(port); }
  // Empty: it has none. Until the next change.
  [[nodiscard]] std::string_view label_of(Port port) const;

  // The label's port from now on, and its last use. Returns the ports that have no label any more by that.
  std::vector<Port> remember(Port port, std::string_view label);
  void forget(Port port);
  [[nodiscard]] std::vector<Port> ports() const;

 private:
  struct Memory {
    Port port;
    std::string label;
  };
  using Place = std::list<Memory>::iterator;
  using Key = std::pair<Protocol, std::string>;

  std::size_t labels_max_;
  std::list<Memory> memories_;  // the longest ago first
  std::map<Key, Place, std::less<>> by_label_;
  std::map<Port, Place> by_port_;
};

}  // namespace tlsmux::ports
