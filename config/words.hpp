#pragma once

// The words that stand for enumeration values: the same in the configuration, in status and in logs.

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::config {

template <class Enum>
struct Word {
  std::string_view text;
  Enum value;
};

// The table of an enumeration; specialised for each below.
template <class Enum>
inline constexpr std::array<Word<Enum>, 0> kWords{};

template <>
inline constexpr auto kWords<LogLevel> = std::to_array<Word<LogLevel>>({
    {"debug", LogLevel::debug},
    {"info", LogLevel::info},
    {"warning", LogLevel::warning},
    {"error", LogLevel::error},
});

template <>
inline constexpr auto kWords<TlsVersion> = std::to_array<Word<TlsVersion>>({
    {"1.2", TlsVersion::tls_1_2},
    {"1.3", TlsVersion::tls_1_3},
});

template <>
inline constexpr auto kWords<FramingKind> = std::to_array<Word<FramingKind>>({
    {"length", FramingKind::length},
    {"delimiter", FramingKind::delimiter},
    {"http1", FramingKind::http1},
    {"none", FramingKind::none},
});

template <>
inline constexpr auto kWords<LengthEncoding> = std::to_array<Word<LengthEncoding>>({
    {"binary_be", LengthEncoding::binary_be},
    {"binary_le", LengthEncoding::binary_le},
    {"ascii", LengthEncoding::ascii},
    {"hex", LengthEncoding::hex},
    {"bcd", LengthEncoding::bcd},
});

template <>
inline constexpr auto kWords<IdleStrategy> = std::to_array<Word<IdleStrategy>>({
    {"latency", IdleStrategy::latency},
    {"balanced", IdleStrategy::balanced},
    {"power", IdleStrategy::power},
});

template <>
inline constexpr auto kWords<Confinement> = std::to_array<Word<Confinement>>({
    {"on", Confinement::on},
    {"off", Confinement::off},
});

template <>
inline constexpr auto kWords<PortProtocols> = std::to_array<Word<PortProtocols>>({
    {"tcp", PortProtocols::tcp},
    {"udp", PortProtocols::udp},
    {"both", PortProtocols::both},
});

template <>
inline constexpr auto kWords<KeepAlive> = std::to_array<Word<KeepAlive>>({
    {"ignore", KeepAlive::ignore},
    {"echo", KeepAlive::echo},
});

template <>
inline constexpr auto kWords<CorrelationKind> = std::to_array<Word<CorrelationKind>>({
    {"fifo", CorrelationKind::fifo},
    {"bytes", CorrelationKind::bytes},
    {"iso8583", CorrelationKind::iso8583},
});

template <>
inline constexpr auto kWords<HeaderFormat> = std::to_array<Word<HeaderFormat>>({
    {"fixed", HeaderFormat::fixed},
    {"base1", HeaderFormat::base1},
});

template <>
inline constexpr auto kWords<AbsentField> = std::to_array<Word<AbsentField>>({
    {"error", AbsentField::error},
    {"skip", AbsentField::skip},
});

template <>
inline constexpr auto kWords<SignOnScope> = std::to_array<Word<SignOnScope>>({
    {"session", SignOnScope::session},
    {"upstream", SignOnScope::upstream},
});

template <>
inline constexpr auto kWords<SessionChoice> = std::to_array<Word<SessionChoice>>({
    {"least_in_flight", SessionChoice::least_in_flight},
    {"round_robin", SessionChoice::round_robin},
    {"primary_standby", SessionChoice::primary_standby},
});

template <>
inline constexpr auto kWords<StreamKind> = std::to_array<Word<StreamKind>>({
    {"messages", StreamKind::messages},
    {"leased", StreamKind::leased},
});

template <>
inline constexpr auto kWords<StreamOrder> = std::to_array<Word<StreamOrder>>({
    {"as_answered", StreamOrder::as_answered},
    {"as_asked", StreamOrder::as_asked},
});

template <>
inline constexpr auto kWords<StreamReuse> = std::to_array<Word<StreamReuse>>({
    {"at_boundary", StreamReuse::at_boundary},
    {"always", StreamReuse::always},
    {"never", StreamReuse::never},
});

// Empty for a value outside the enumeration.
template <class Enum>
constexpr std::string_view word_of(Enum value) {
  const auto found = std::ranges::find(kWords<Enum>, value, &Word<Enum>::value);
  return found == kWords<Enum>.end() ? std::string_view{} : found->text;
}

// In the order of the table.
template <class Enum>
std::vector<std::string_view> all_words() {
  std::vector<std::string_view> texts;
  texts.reserve(kWords<Enum>.size());
  for (const Word<Enum>& word : kWords<Enum>) texts.push_back(word.text);
  return texts;
}

}  // namespace tlsmux::config
