#include "ports/services/services_file.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "config/check/config_check.hpp"
#include "config/check/value_rules.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"
#include "ports/services/services_line.hpp"

namespace tlsmux::ports {
namespace {

using config::ConfigError;
using config::ConfigErrors;
using config::GroupSettings;
using config::in_quotes;
using config::pointer_to;
using config::TextKind;

constexpr std::array<std::string_view, 5> kKeywords{"Service", "User", "Group", "Static", "Dynamic"};

struct Place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

// Nothing: the statement was taken in.
using Fault = std::optional<LineFault>;

// A word and where it stands.
struct Word {
  std::size_t offset = 0;
  std::string text;
};

class Parser {
 public:
  void add_line(std::string_view text, std::uint32_t number) {
    line_ = number;
    ServicesLine line(text);
    Fault fault = add(line);
    if (!fault && !line.at_end()) {
      fault = LineFault{line.offset(), "the line should end here; remove the rest, or put # before it"};
    }
    if (fault) errors_.push_back(error_at(place_of(fault->offset), std::move(fault->message)));
  }

  std::expected<std::vector<GroupSettings>, ConfigErrors> finish() {
    if (groups_.empty() && errors_.empty()) {
      errors_.push_back(
          error_at({.line = 1, .column = 1}, "there is no Service in this file; begin with: Service NAME"));
    }
    if (errors_.empty()) check();
    if (!errors_.empty()) return std::unexpected(std::move(errors_));
    return std::move(groups_);
  }

 private:
  static ConfigError error_at(Place place, std::string message) {
    return {.pointer = {}, .message = std::move(message), .line = place.line, .column = place.column};
  }

  [[nodiscard]] Place place_of(std::size_t offset) const {
    return {.line = line_, .column = static_cast<std::uint32_t>(offset) + 1};
  }

  Fault add(ServicesLine& line) {
    if (line.at_end()) return {};
    const std::size_t begin = line.offset();
    const auto keyword = line.take_word("a statement");
    if (!keyword) return keyword.error();
    const bool is_plain = line.is_port_and_protocol();
    if (!is_plain && is_same_word(*keyword, "Service")) return add_service(line, begin);
    const auto is_known = [&](std::string_view known) { return is_same_word(*keyword, known); };
    if (!is_plain && std::ranges::none_of(kKeywords, is_known)) {
      return LineFault{begin, in_quotes(*keyword) + " begins no statement; " + config::suggestion(*keyword, kKeywords) +
                                  " Or is it a label? Then PORT/PROTOCOL must follow"};
    }
    if (groups_.empty()) return LineFault{begin, "no Service line comes before this; begin with: Service NAME"};
    GroupSettings& group = groups_.back();
    if (is_plain) return add_plain(line, {.offset = begin, .text = *keyword});
    if (is_known("User")) return add_accounts(line, group.users, "users", TextKind::user, "a user");
    if (is_known("Group"))
      return add_accounts(line, group.unix_groups, "unix_groups", TextKind::unix_group, "a Unix group");
    if (is_known("Static")) return add_static(line, begin);
    return add_dynamic(line, begin);
  }

  Fault add_service(ServicesLine& line, std::size_t begin) {
    const std::size_t offset = line.offset();
    auto name = line.take_word("the service's name");
    if (!name) return name.error();
    if (auto problem = config::text_problem(TextKind::name, config::Presence::required, *name)) {
      return LineFault{offset, "the service's name " + *problem};
    }
    groups_.emplace_back().name = std::move(*name);
    remember(group_pointer(), begin);
    remember(pointer_to(group_pointer(), "name"), offset);
    return {};
  }

  Fault add_accounts(ServicesLine& line, std::vector<std::string>& accounts, std::string_view key, TextKind kind,
                     const std::string& what) {
    do {
      const std::size_t offset = line.offset();
      auto account = line.take_word(what);
      if (!account) return account.error();
      auto problem = config::text_problem(kind, config::Presence::required, *account);
      if (!problem && !is_ascii(*account)) problem = "must be ASCII, is " + in_quotes(*account) + "; give its number";
      if (problem) return LineFault{offset, what + " " + *problem};
      remember(pointer_to(pointer_to(group_pointer(), key), accounts.size()), offset);
      accounts.push_back(std::move(*account));
    } while (!line.at_end());
    return {};
  }

  Fault add_static(ServicesLine& line, std::size_t begin) {
    const auto port = line.take_port();
    if (!port) return port.error();
    const auto protocols = line.take_protocols();
    if (!protocols) return protocols.error();
    Word label{.offset = line.offset(), .text = {}};
    auto word = line.take_word("the label");
    if (!word) return word.error();
    label.text = std::move(*word);
    std::string program;
    if (!line.at_end()) {
      const std::size_t offset = line.offset();
      auto name = line.take_word("the program");
      if (!name) return name.error();
      if (const auto problem = config::text_problem(TextKind::program, config::Presence::required, *name)) {
        return LineFault{offset, "the program " + *problem};
      }
      program = std::move(*name);
    }
    return add_port(begin, *port, *protocols, label, std::move(program));
  }

  Fault add_plain(ServicesLine& line, const Word& label) {
    const auto port = line.take_port();
    if (!port) return port.error();
    (void)line.take_sign('/');
    const auto protocol = line.take_protocol();
    if (!protocol) return protocol.error();
    if (!line.at_end()) return LineFault{line.offset(), "a port has one label here; remove its aliases"};
    return add_port(label.offset, *port, *protocol, label, {});
  }

  Fault add_port(std::size_t begin, std::uint16_t port, config::PortProtocols protocols, const Word& label,
                 std::string program) {
    if (const auto problem = config::text_problem(TextKind::port_label, config::Presence::required, label.text)) {
      return LineFault{label.offset, "the label " + *problem};
    }
    auto& ports = groups_.back().ports.static_ports;
    const std::string pointer = pointer_to(pointer_to(pointer_to(group_pointer(), "ports"), "static"), ports.size());
    remember(pointer, begin);
    remember(pointer_to(pointer, "label"), label.offset);
    ports.push_back({.port = port, .protocol = protocols, .label = label.text, .program = std::move(program)});
    return {};
  }

  Fault add_dynamic(ServicesLine& line, std::size_t begin) {
    const std::size_t bracket = line.offset();
    const auto wrong_range = [bracket] { return LineFault{bracket, "a range is missing; write it as in [1000-3000]"}; };
    if (!line.take_sign('[')) return wrong_range();
    const auto from = line.take_port();
    if (!from) return from.error();
    if (!line.take_sign('-')) return wrong_range();
    const auto to = line.take_port();
    if (!to) return to.error();
    if (!line.take_sign(']')) return wrong_range();
    if (*from > *to) {
      return LineFault{bracket, "the range begins at " + std::to_string(*from) + ", behind its end, " +
                                    std::to_string(*to) + "; put the lower port first"};
    }
    const auto protocols = line.take_protocols();
    if (!protocols) return protocols.error();
    auto& ranges = groups_.back().ports.dynamic;
    remember(pointer_to(pointer_to(pointer_to(group_pointer(), "ports"), "dynamic"), ranges.size()), begin);
    ranges.push_back({.from = *from, .to = *to, .protocols = *protocols});
    return {};
  }

  static bool is_ascii(std::string_view text) {
    return std::ranges::none_of(text, [](char character) { return static_cast<unsigned char>(character) >= 0x80; });
  }

  [[nodiscard]] std::string group_pointer() const { return pointer_to("/groups", groups_.size() - 1); }

  void remember(std::string pointer, std::size_t offset) { places_[std::move(pointer)] = place_of(offset); }

  // Of the setting itself, or of what it is part of.
  [[nodiscard]] Place find(std::string pointer) const {
    for (;;) {
      if (const auto found = places_.find(pointer); found != places_.end()) return found->second;
      const std::size_t slash = pointer.rfind('/');
      if (slash == std::string::npos || slash == 0) return {.line = 1, .column = 1};
      pointer.resize(slash);
    }
  }

  // Pointers to settings become numbers of lines.
  [[nodiscard]] std::string with_lines(std::string_view message) const {
    constexpr std::string_view kOfPointers = "/_abcdefghijklmnopqrstuvwxyz0123456789";
    std::string result;
    for (;;) {
      const std::size_t begin = message.find("/groups/");
      result += message.substr(0, begin);
      if (begin == std::string_view::npos) return result;
      message.remove_prefix(begin);
      const std::size_t length = std::min(message.find_first_not_of(kOfPointers), message.size());
      result += "line " + std::to_string(find(std::string(message.substr(0, length))).line);
      message.remove_prefix(length);
    }
  }

  // The rules of the configuration that these groups will be part of.
  void check() {
    config::Config config;
    config.groups = groups_;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (!groups_[i].users.empty() || !groups_[i].unix_groups.empty()) continue;
      const std::string pointer = pointer_to("/groups", i);
      errors_.push_back(error_at(
          find(pointer), "service " + in_quotes(groups_[i].name) + " has no members; add a line such as: User NAME"));
      config.groups[i].users = {"0"};  // said once
    }
    for (const ConfigError& error : config::check(config)) {
      if (!error.pointer.starts_with("/groups")) continue;
      errors_.push_back(error_at(find(error.pointer), with_lines(error.message)));
    }
    std::ranges::sort(errors_, {}, [](const ConfigError& error) { return std::pair(error.line, error.column); });
  }

  std::uint32_t line_ = 0;
  std::vector<GroupSettings> groups_;
  std::map<std::string, Place, std::less<>> places_;  // by the pointer in the configuration
  ConfigErrors errors_;
};

}  // namespace

std::expected<std::vector<GroupSettings>, ConfigErrors> parse_services(std::string_view text) {
  Parser parser;
  for (std::uint32_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    parser.add_line(line, number);
  }
  return parser.finish();
}

}  // namespace tlsmux::ports
