#include "ports/book/port_labels.hpp"

namespace tlsmux::ports {

std::optional<Port> PortLabels::find(Protocol protocol, std::string_view label) const {
  const auto found = by_label_.find(Key{protocol, label});
  if (found == by_label_.end()) return std::nullopt;
  return found->second->port;
}

std::string_view PortLabels::label_of(Port port) const {
  const auto found = by_port_.find(port);
  return found == by_port_.end() ? std::string_view() : found->second->label;
}

std::vector<Port> PortLabels::remember(Port port, std::string_view label) {
  std::vector<Port> forgotten;
  if (const auto before = find(port.protocol, label)) {
    if (*before != port) forgotten.push_back(*before);
    forget(*before);
  }
  forget(port);
  if (memories_.size() >= labels_max_) {
    forgotten.push_back(memories_.front().port);
    forget(memories_.front().port);
  }
  const auto place = memories_.insert(memories_.end(), {.port = port, .label = std::string(label)});
  by_label_.emplace(Key{port.protocol, label}, place);
  by_port_.emplace(port, place);
  return forgotten;
}

void PortLabels::forget(Port port) {
  const auto found = by_port_.find(port);
  if (found == by_port_.end()) return;
  const auto place = found->second;
  by_label_.erase(Key{port.protocol, place->label});
  by_port_.erase(found);
  memories_.erase(place);
}

std::vector<Port> PortLabels::ports() const {
  std::vector<Port> ports;
  ports.reserve(by_port_.size());
  for (const auto& [port, place] : by_port_) ports.push_back(port);
  return ports;
}

}  // namespace tlsmux::ports
