#include "tests/host/host_report.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace tlsmux::host {

struct HostReport::Content {
  nlohmann::json json;

  [[nodiscard]] const nlohmann::json& at(std::string_view name) const {
    const auto found = json.find(name);
    if (found == json.end()) throw std::runtime_error("no \"" + std::string(name) + "\" in the host's report");
    return *found;
  }
};

HostReport::HostReport(const std::string& json)
    : content_(std::make_unique<Content>(Content{nlohmann::json::parse(json)})) {}
HostReport::HostReport(HostReport&&) noexcept = default;
HostReport& HostReport::operator=(HostReport&&) noexcept = default;
HostReport::~HostReport() = default;

std::uint64_t HostReport::count(std::string_view name) const { return content_->at(name).get<std::uint64_t>(); }

CountByName HostReport::counts(std::string_view name) const {
  CountByName counts;
  for (const auto& [key, value] : content_->at(name).items()) counts.emplace(key, value.get<std::uint64_t>());
  return counts;
}

std::uint64_t HostReport::count_of(std::string_view counts_name, std::string_view name) const {
  const auto all = counts(counts_name);
  const auto found = all.find(name);
  return found == all.end() ? 0 : found->second;
}

std::vector<ConnectionEntry> HostReport::connections() const {
  std::vector<ConnectionEntry> entries;
  for (const auto& json : content_->at("connection_list")) {
    ConnectionEntry entry;
    json.at("number").get_to(entry.number);
    json.at("source").get_to(entry.source);
    json.at("opened_us").get_to(entry.opened_us);
    json.at("handshake_done_us").get_to(entry.handshake_done_us);
    json.at("ended_us").get_to(entry.ended_us);
    json.at("handshake").get_to(entry.handshake);
    json.at("end").get_to(entry.end);
    json.at("close_notify").get_to(entry.close_notify);
    json.at("messages").get_to(entry.messages);
    json.at("sign_ons").get_to(entry.sign_ons);
    json.at("sign_offs").get_to(entry.sign_offs);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace tlsmux::host
