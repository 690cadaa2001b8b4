#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/host/framing_names.hpp"
#include "tests/host/host.hpp"
#include "tests/host/options.hpp"

namespace {

using namespace tlsmux::host;

// One of several words; `names` must name every value.
template <typename Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& value, const std::map<std::string, Value>& names,
                        const std::string& text) {
  return app.add_option(name, value, text)
      ->transform(CLI::CheckedTransformer(names))
      ->option_text(CLI::detail::join(names, [](const auto& pair) { return pair.first; }, "|"));
}

std::string is_protocol_name(const std::string& name) {
  return name.empty() || name.size() > 255 ? "not 1 to 255 characters" : "";
}

std::string is_tpdu(const std::string& digits) {
  const bool good = digits.size() == 10 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  return good ? "" : "not 10 hexadecimal digits: " + digits;
}

std::string is_response_code(const std::string& code) {
  const bool good = code.size() == 2 && std::ranges::all_of(code, [](unsigned char c) { return std::isalnum(c) != 0; });
  return good || code.empty() || code == "none" ? "" : "not 2 letters or digits: " + code;
}

std::string bytes_of_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

void add_tls_options(CLI::App& app, Options& options) {
  const auto group = "TLS";
  auto& tls = options.tls;
  app.add_option("--certificate", tls.certificate_file, "PEM file of the host's certificate chain")
      ->required()
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_option("--key", tls.key_file, "PEM file of its key")->required()->check(CLI::ExistingFile)->group(group);
  app.add_option("--ca", tls.ca_file, "PEM file of the authorities of client certificates")
      ->check(CLI::ExistingFile)
      ->group(group);
  add_choice<TlsVersion>(app, "--tls", tls.version,
                         {{"1.2", TlsVersion::v1_2}, {"1.3", TlsVersion::v1_3}, {"any", TlsVersion::any}},
                         "versions offered")
      ->group(group);
  add_choice<ClientCertificate>(app, "--client-certificate", tls.client_certificate,
                                {{"none", ClientCertificate::none},
                                 {"request", ClientCertificate::request},
                                 {"require", ClientCertificate::require}},
                                "needs --ca unless none")
      ->group(group);
  app.add_option("--ciphers", tls.ciphers, "OpenSSL suite names, joined by colons")->group(group);
  app.add_option("--groups", tls.groups, "OpenSSL names of key exchange groups, joined by colons")->group(group);
  app.add_option_function<std::vector<std::string>>(
         "--alpn",
         [&tls](const std::vector<std::string>& names) {
           for (const auto& name : names) tls.alpn_list += static_cast<char>(name.size()) + name;
         },
         "protocols, best first; a client that offers only others is refused")
      ->check(CLI::Validator(is_protocol_name, "1 to 255 characters"))
      ->delimiter(',')
      ->group(group);
  app.add_option("--ticket-keys", tls.ticket_keys_file,
                 "file of ticket keys, made when missing: sessions are resumed after a restart")
      ->group(group);
  app.add_flag("--handshake-stall", options.handshake_stall, "accept connections and never answer")->group(group);
  app.add_option("--handshake-delay-ms", options.handshake_delay_ms, "wait so long before each handshake")
      ->group(group);
}

// What the command line says of frames, until it is complete.
struct FramingArguments {
  std::string name = "length16";
  bool length_includes_itself = false;
  std::optional<std::size_t> message_bytes_max;
};

void add_framing_options(CLI::App& app, FramingArguments& arguments, Options& options) {
  const auto group = "Framing";
  auto& behaviour = options.behaviour;
  app.add_option("--framing", arguments.name, "layout of the frames")
      ->check(CLI::IsMember(framing_names()))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--length-includes-itself", arguments.length_includes_itself)->group(group);
  app.add_option("--message-bytes-max", arguments.message_bytes_max,
                 "longer ones close the connection; 65535 unless the layout has a limit of its own")
      ->check(CLI::Range(1, 1 << 30))
      ->group(group);
  app.add_option_function<std::string>(
         "--tpdu", [&behaviour](const std::string& digits) { behaviour.envelope.tpdu = bytes_of_hex(digits); },
         "5 bytes in hex that clients put before each message; answers bear them with the addresses exchanged")
      ->check(CLI::Validator(is_tpdu, "10 hexadecimal digits"))
      ->group(group);
  app.add_flag("--base1", behaviour.envelope.base1, "messages begin with a VISA BASE I header")->group(group);
  app.add_option("--split-bytes", behaviour.split_bytes, "send longer messages in several frames, with rbp")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_flag("--echo-keep-alives", behaviour.echo_keep_alives, "send frames of length zero back")->group(group);
  app.add_option("--keep-alive-every-ms", options.keep_alive_every_ms, "send frames of length zero")->group(group);
}

void finish_framing(const FramingArguments& arguments, Options& options) {
  Framing& framing = options.framing;
  framing = framing_named(arguments.name).value();
  if (arguments.length_includes_itself) framing.length_includes_itself = true;
  if (arguments.message_bytes_max) framing.message_bytes_max = *arguments.message_bytes_max;
  if (framing.after_more.empty() && options.behaviour.split_bytes > 0) {
    throw CLI::ValidationError("--split-bytes", "the frames of " + arguments.name + " cannot say that more follows");
  }
}

void add_answer_options(CLI::App& app, Options& options) {
  const auto group = "Answers";
  auto& behaviour = options.behaviour;
  add_choice<Mode>(app, "--mode", behaviour.mode,
                   {{"iso8583", Mode::iso8583}, {"echo", Mode::echo}, {"sink", Mode::sink}},
                   "answer ISO 8583:1987 ASCII requests, send everything back, or never answer")
      ->group(group);
  add_choice<OnUnparsable>(app, "--on-unparsable", behaviour.on_unparsable,
                           {{"ignore", OnUnparsable::ignore}, {"close", OnUnparsable::close}},
                           "when a message is not ISO 8583")
      ->group(group);
  app.add_option("--delay-us", behaviour.delay_us, "time before each answer")->group(group);
  const auto jitter = app.add_option("--jitter-us", behaviour.jitter_us, "up to so much more, uniformly")->group(group);
  app.add_flag("--out-of-order", behaviour.out_of_order, "let jitter change the order on a connection")
      ->needs(jitter)
      ->group(group);
  const CLI::Range percent(0.0, 100.0);
  app.add_option("--refuse-percent", behaviour.refuse_percent, "answered with 39=05")->check(percent)->group(group);
  app.add_option("--silent-percent", behaviour.silent_percent, "not answered")->check(percent)->group(group);
  app.add_option("--duplicate-percent", behaviour.duplicate_percent, "answered twice")->check(percent)->group(group);
  app.add_option("--late-percent", behaviour.late_percent, "answered --late-ms later")->check(percent)->group(group);
  app.add_option("--late-ms", behaviour.late_ms)->group(group);
  app.add_option("--omit-fields", behaviour.omit_fields, "fields that answers lack, joined by commas")
      ->check(CLI::Range(2U, kFieldMax))
      ->delimiter(',')
      ->group(group);
  app.add_option("--shuffle", options.shuffle, "collect so many answers of all connections, send them in random order")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--shuffle-wait-ms", options.shuffle_wait_ms, "collect for so long at most")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--answer-on-any-session", options.answer_on_any_session, "not only on the one that was asked on")
      ->group(group);
  app.add_option("--seed", behaviour.seed, "of all that is random")->capture_default_str()->group(group);
}

void add_network_management_options(CLI::App& app, Behaviour& behaviour) {
  const auto group = "Network management";
  auto& sign_on = behaviour.sign_on;
  auto& own = behaviour.own_messages;
  add_choice<SignOnRule>(
      app, "--sign-on", sign_on.rule,
      {{"none", SignOnRule::none}, {"connection", SignOnRule::connection}, {"host", SignOnRule::host}},
      "0800 with 70=001 must come before other requests, on each connection or on any")
      ->group(group);
  add_choice<OnMissingSignOn>(app, "--on-missing-sign-on", sign_on.on_missing,
                              {{"ignore", OnMissingSignOn::ignore}, {"close", OnMissingSignOn::close}},
                              "when another request comes first")
      ->group(group);
  app.add_option("--sign-on-code", sign_on.response_code,
                 "field 39 of answers to sign-ons; other than 00 refuses; none: no answer")
      ->check(CLI::Validator(is_response_code, "2 letters or digits, or none"))
      ->transform([](const std::string& code) { return code == "none" ? std::string() : code; })
      ->capture_default_str()
      ->group(group);
  app.add_option("--sign-on-refusals", sign_on.refusals_max, "refuse so many sign-ons, then accept")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--echo-interval-min-ms", behaviour.echo_interval_min_ms,
                 "close a connection on which 0800 with 70=301 comes twice within this time")
      ->group(group);
  add_choice<OwnMessageKind>(app, "--own-message", own.kind,
                             {{"echo_test", OwnMessageKind::echo_test},
                              {"key_exchange", OwnMessageKind::key_exchange},
                              {"advice", OwnMessageKind::advice}},
                             "what the host asks: 0800 with 70=301 or 101, 0820 with 70=201")
      ->group(group);
  app.add_option("--unsolicited-every", own.every_messages, "ask it at every Nth message of a connection")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--unsolicited-every-ms", own.every_ms, "ask it on every connection at this interval")->group(group);
}

void add_trouble_options(CLI::App& app, Options& options) {
  const auto group = "Trouble";
  auto& behaviour = options.behaviour;
  app.add_option("--close-after", behaviour.close_after,
                 "close a connection, with close_notify, instead of answering its Nth message")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_flag("--close-hard", options.close_hard, "close with a reset (RST) instead, and send nothing more")
      ->group(group);
  app.add_option("--silent-after", options.silent_after,
                 "after a connection's Nth message, or 0: after its handshake, send nothing more on it")
      ->group(group);
  app.add_option("--stop-reading-after", options.stop_reading_after, "likewise, read nothing more from it")
      ->group(group);
  app.add_option("--oversize-after", behaviour.oversize_after,
                 "at a connection's Nth message send a header with the longest length it can say")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--garbage-after", options.wire.garbage_after,
                 "instead of answering a connection's Nth message send bytes that are no TLS")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--renegotiate-after", options.wire.renegotiate_after,
                 "before answering a connection's Nth message ask for a new handshake (TLS 1.2) or new keys (TLS 1.3)")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_option("--chatter-after", options.wire.chatter_after,
                 "instead of answering a connection's Nth message send a megabyte of records without data (TLS 1.3)")
      ->check(CLI::PositiveNumber)
      ->group(group);
  app.add_flag("--byte-records", options.wire.byte_records, "send each byte in a TLS record of its own")->group(group);
  app.add_flag("--handshake-reset", options.wire.handshake_reset, "reset connections as soon as the client says hello")
      ->group(group);
  app.add_option("--connections-max", options.connections_max, "close any above so many as soon as accepted")
      ->check(CLI::PositiveNumber)
      ->group(group);
}

void add_options(CLI::App& app, FramingArguments& framing, Options& options) {
  app.add_option("--listen", options.listen, "numeric ADDRESS:PORT, port 0 for any")->capture_default_str();
  app.add_option("--record", options.record_file,
                 "append a line per received message: received CONNECTION SEQUENCE KEY_HEX LENGTH FNV1A64");
  app.add_option("--report", options.report_file, "write totals as JSON here at the end, and on SIGUSR1");
  add_tls_options(app, options);
  add_framing_options(app, framing, options);
  add_answer_options(app, options);
  add_network_management_options(app, options.behaviour);
  add_trouble_options(app, options);
}

// The signals are read by Host; a peer that is gone shows in the result of a write.
void prepare_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int fail(const std::string& reason) {
  std::fprintf(stderr, "tlsmux-host: %s\n", reason.c_str());
  return 1;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("A TLS payment host that answers, delays, refuses and misbehaves as told.", "tlsmux-host");
  FramingArguments framing;
  add_options(app, framing, options);
  app.callback([&] {
    const auto& tls = options.tls;
    if (tls.client_certificate != ClientCertificate::none && tls.ca_file.empty()) {
      throw CLI::RequiresError("--client-certificate", "--ca");
    }
    finish_framing(framing, options);
  });
  CLI11_PARSE(app, argc, argv);

  prepare_signals();
  raise_descriptor_limit();
  const auto host = Host::open(options);
  if (!host) return fail(host.error());
  std::printf("listening %s\n", (*host)->address().c_str());
  std::fflush(stdout);
  const auto result = (*host)->run();
  return result ? 0 : fail(result.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tlsmux-host: %s\n", error.what());
    return 1;
  }
}
