#pragma once

// The ports of groups in a form like that of /etc/services, to be taken into a configuration and written out of one.
// A group is a "service" here. The grammar, line by line:
//
//   line      = [ statement ] [ "#" comment ]
//   statement = "Service" name                                    whose the following lines are
//             | "User" account { account }                        its members
//             | "Group" account { account }                       Unix groups; theirs are members as well
//             | "Static" number protocols label [ program ]
//             | "Dynamic" "[" number "-" number "]" protocols     both ends included
//             | label number "/" protocol                         as in /etc/services: a static port
//   protocols = protocol { "," protocol }
//   protocol  = "TCP" | "UDP"
//
// Keywords and protocols may be written in any case. Blanks (spaces and tabs) part words and may stand around every sign
// but the slash. Accounts, labels and programs are words: without blanks, "#" and quotation marks; or within quotation
// marks, where \" and \\ stand for a quotation mark and a backslash. A line whose second word is NUMBER/PROTOCOL is one
// of /etc/services whatever its first word is. What each value may be is config/README.md's. For example:
//
//   Service EBANKING
//   User pay
//   Group payments
//   Static 1414 TCP mqlisten
//   Dynamic [1000-3000] TCP,UDP

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::ports {

// The groups in their order, with names, members and ports; the rest of their settings is at its defaults. They go
// together as a configuration's groups must. Otherwise all errors, each with its line and column.
std::expected<std::vector<config::GroupSettings>, config::ConfigErrors> parse_services(std::string_view text);

// What parse_services() reads as the same names, members and ports. What has no place in the form is left out: quotas,
// delays, enforcement, memory.
std::string format_services(std::span<const config::GroupSettings> groups);

// The value of a configuration's "groups", as JSON text: what parse_services() gives, without what is at its default.
std::string groups_json(std::span<const config::GroupSettings> groups);

}  // namespace tlsmux::ports
